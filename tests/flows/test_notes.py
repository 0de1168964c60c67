"""Notes of trainees: cosigned in time, or reported when a day has passed."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from tests.flows.drawn import drawn
from tests.flows.hospital import Hospital, Person
from tests.flows.running import Running
from tests.flows.staff import Colleague, engaged


async def signed(author: Colleague, person: Person, encounter: str) -> str:
    """A progress note, drafted and signed."""
    content = {"kind": "progress", "text": author.hospital.secret("the patient slept ")}
    asked = {"patient_id": person.id, "encounter_id": encounter, "content": content}
    note = str((await author.ask("ehr", "POST", "/notes", asked))["note_id"])
    await author.ask("ehr", "POST", f"/notes/{note}/sign")
    return note


async def overdue(running: Running, note: str) -> list[Any]:
    """Whether the record has said that nobody cosigned."""
    query = "SELECT id, flow FROM backbone.published WHERE type = 'note.cosign_overdue' AND key = :note"
    return await running.rows("ehr", query, note=note)


async def test_a_trainees_note_is_cosigned_within_a_day(running: Running, hospital: Hospital) -> None:
    """Then nobody is reminded; one that nobody cosigned is reported after 24 hours, once, and can still be cosigned."""
    trainee, clinician = await engaged(hospital, "trainee"), await engaged(hospital, "clinician")
    person = await hospital.registers()
    encounter = await hospital.admits(person)
    await running.settled()
    cosigned, forgotten = [await signed(trainee, person, encounter) for _ in range(2)]
    refused = await trainee.ask("ehr", "POST", f"/notes/{cosigned}/cosign", status=403)
    assert refused["status"] == 403
    note = await clinician.ask("ehr", "POST", f"/notes/{cosigned}/cosign")
    assert (note["status"], note["cosignature"]["cosigner_id"]) == ("signed", str(clinician.user_id))
    await running.move_clock(timedelta(hours=23))
    assert await overdue(running, forgotten) == []
    await running.move_clock(timedelta(hours=2))
    [reported] = await overdue(running, forgotten)
    assert await overdue(running, cosigned) == []
    shown = (await clinician.ask("ehr", "GET", f"/notes/{forgotten}")).body
    assert (shown["status"], shown["overdue_at"] is not None) == ("cosign_required", True)
    assert "ehr-)ehr: note.cosign_due<br/>report_missing_cosignature\n" in await drawn(running, reported.flow)
    await clinician.ask("ehr", "POST", f"/notes/{forgotten}/cosign")
    for each in (cosigned, forgotten):
        assert (await clinician.ask("ehr", "GET", f"/notes/{each}/integrity"))["intact"] is True


async def test_a_note_waits_for_nobody_else(running: Running, hospital: Hospital) -> None:
    """A note of an encounter that was cancelled is refused, by name; one of an encounter nobody heard of is not, yet."""
    clinician, person = await engaged(hospital, "clinician"), await hospital.registers()
    planned = {"patient_id": person.id, "encounter_class": "ambulatory"}
    encounter = (await hospital.ask("clinical", "POST", "/encounters", planned))["encounter_id"]
    await hospital.ask("clinical", "POST", f"/encounters/{encounter}/cancel", {"reason": "did not come"})
    content = {"kind": "progress", "text": "did not come"}
    asked = {"patient_id": person.id, "encounter_id": encounter, "content": content}
    refused = await clinician.ask("ehr", "POST", "/notes", asked, status=409)
    assert refused["type"] == "urn:nilecare:rule:EncounterDoesNotTakePlace"
    early = await clinician.ask("ehr", "POST", "/notes", asked | {"encounter_id": person.id}, status=409)
    assert (early["type"], early["waits_for"]) == ("urn:nilecare:not-yet", "encounter_reference")
