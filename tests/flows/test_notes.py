"""Notes of trainees: cosigned in time, or reported when a day has passed."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from broker.testing import Flow
from contracts.ehr import NoteCosignDue, NoteCosigned, NoteCosignOverdue, NoteCosignRequested, NoteSigned
from tests.flows.hospital import Hospital, Person
from tests.flows.staff import Colleague, engaged

DAY = timedelta(hours=24)


async def signed(author: Colleague, person: Person, encounter: str) -> str:
    """A progress note, drafted and signed."""
    content = {"kind": "progress", "text": author.hospital.secret("the patient slept ")}
    asked = {"patient_id": person.id, "encounter_id": encounter, "content": content}
    note = str((await author.ask("ehr", "POST", "/notes", asked))["note_id"])
    await author.ask("ehr", "POST", f"/notes/{note}/sign")
    return note


async def test_a_trainees_note_is_cosigned_within_a_day(flow: Flow, hospital: Hospital) -> None:
    """Then nobody is reminded."""
    trainee, clinician = await engaged(hospital, "trainee"), await engaged(hospital, "clinician")
    person = await hospital.registers()
    encounter = await hospital.admits(person)
    async with flow.started_by(signed(trainee, person, encounter)) as f:
        note = f.result
        asked = await f.published(NoteCosignRequested, by="ehr", note_id=UUID(note)).once()
        await f.handled(asked, by="notification")
        await trainee.ask("ehr", "POST", f"/notes/{note}/cosign", status=403)
        shown = await clinician.ask("ehr", "POST", f"/notes/{note}/cosign")
        assert (shown["status"], shown["cosignature"]["cosigner_id"]) == ("signed", str(clinician.user_id))
        await f.published(NoteCosigned, by="ehr", cosigner_id=clinician.user_id).once()
        await flow.advance(hours=25)
        f.never(NoteCosignDue)
        f.never(NoteCosignOverdue)
    assert (await clinician.ask("ehr", "GET", f"/notes/{note}/integrity"))["intact"] is True


async def test_a_note_that_nobody_cosigned_is_reported(flow: Flow, hospital: Hospital) -> None:
    """After 24 hours, once; it can still be cosigned."""
    trainee, clinician = await engaged(hospital, "trainee"), await engaged(hospital, "clinician")
    person = await hospital.registers()
    encounter = await hospital.admits(person)
    async with flow.started_by(signed(trainee, person, encounter)) as f:
        note = f.result
        f.scheduled(NoteCosignDue, within=DAY)
        await flow.advance(hours=23)
        await f.over()
        assert (await clinician.ask("ehr", "GET", f"/notes/{note}"))["overdue_at"] is None
        await flow.advance(hours=2)
        due = await f.published(NoteCosignDue, by="ehr", note_id=UUID(note)).once()
        await f.handled(due, by="ehr.report_missing_cosignature")
        await f.handled(await f.published(NoteCosignOverdue, by="ehr").once(), by="notification")
        shown = (await clinician.ask("ehr", "GET", f"/notes/{note}")).body
        assert (shown["status"], shown["overdue_at"] is not None) == ("cosign_required", True)
        await clinician.ask("ehr", "POST", f"/notes/{note}/cosign")
        await f.published(NoteCosigned, by="ehr").once()
    assert (await clinician.ask("ehr", "GET", f"/notes/{note}/integrity"))["intact"] is True


async def test_a_note_waits_for_nobody_else(flow: Flow, hospital: Hospital) -> None:
    """A note of an encounter that was cancelled is refused, by name; one of an encounter nobody heard of is not, yet."""
    clinician, person = await engaged(hospital, "clinician"), await hospital.registers()
    planned = {"patient_id": person.id, "encounter_class": "ambulatory"}
    encounter = (await hospital.ask("clinical", "POST", "/encounters", planned))["encounter_id"]
    await hospital.ask("clinical", "POST", f"/encounters/{encounter}/cancel", {"reason": "did not come"})
    content = {"kind": "progress", "text": "did not come"}
    asked = {"patient_id": person.id, "encounter_id": encounter, "content": content}
    unknown = asked | {"encounter_id": person.id}
    refusals = [clinician.ask("ehr", "POST", "/notes", each, status=409) for each in (asked, unknown)]
    async with flow.started_by(*refusals) as f:
        refused, early = f.results
        f.never(NoteSigned)
    assert refused["type"] == "urn:nilecare:rule:EncounterDoesNotTakePlace"
    assert (early["type"], early["waits_for"]) == ("urn:nilecare:not-yet", "encounter_reference")
