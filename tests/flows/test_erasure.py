"""A user is erased: of the person nothing is left anywhere, nothing comes back, and the clinical record stays (flow 22)."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from tests.flows.again import hear_again, hear_anew
from tests.flows.drawn import drawn
from tests.flows.hospital import POTASSIUM, Hospital
from tests.flows.running import Running
from tests.flows.spoken import attributes
from tests.flows.staff import Colleague, administers, engaged, erased

REPLICAS = ("ehr", "notification")
"""The services that keep a copy of users."""


async def person_behind(running: Running, colleague: Colleague) -> tuple[str, ...]:
    """What a user is known by."""
    query = "SELECT email, full_name FROM auth_users WHERE user_id = :id"
    [user] = await running.rows("auth", query, id=colleague.user_id)
    return user.email, user.full_name


async def signed(author: Colleague) -> str:
    """A note in a patient's record."""
    hospital = author.hospital
    person = await hospital.registers()
    encounter = await hospital.admits(person)
    await hospital.running.settled()
    content = {"kind": "progress", "text": hospital.secret("the patient slept ")}
    asked = {"patient_id": person.id, "encounter_id": encounter, "content": content}
    note = str((await author.ask("ehr", "POST", "/notes", asked))["note_id"])
    await author.ask("ehr", "POST", f"/notes/{note}/sign")
    return note


async def something_reported(by: Colleague) -> None:
    """Somebody ordered what is critical, and is told so by mail."""
    hospital = by.hospital
    person = await hospital.registers()
    order = (await by.ask("lab", "POST", "/lab-orders", {"patient_id": person.id, "tests": [POTASSIUM]}))["order_id"]
    await hospital.accepts(order, person)
    await hospital.releases(await hospital.measures(order, POTASSIUM, value=hospital.secret("6.9"), unit="mmol/L"))


async def users(running: Running, user_id: UUID) -> list[Any]:
    """What the replicas say of a user."""
    query = "SELECT * FROM user_reference WHERE id = :id"
    return [row for name in REPLICAS for row in await running.rows(name, query, id=user_id)]


async def test_nothing_is_left_of_an_erased_user(running: Running, hospital: Hospital) -> None:
    """No table of any service holds name or address, once whatever followed is over; that an id was erased is all they say.

    Not even when everything that auth ever said of them is heard again, the latest first, remembered or not.
    """
    clinician = await engaged(hospital, "clinician")
    await clinician.signs_in()
    await something_reported(clinician)
    mails = running.mails.mails_to(clinician.email)
    person = await person_behind(running, clinician)
    assert {"auth public.auth_users", "notification public.user_reference"} <= await running.holding(*person)
    erasure = await erased(clinician)
    assert await running.holding(*person) == set()
    assert {row.status for row in await users(running, clinician.user_id)} == {"deleted"}
    assert len(await users(running, clinician.user_id)) == len(REPLICAS)
    diagram = await drawn(running, erasure.flow)
    for reader, subscription in (("ehr", "retain_what_an_erased_user_wrote"), ("notification", "erase_user")):
        assert f"    auth-){reader}: user.erased<br/>{subscription}\n" in diagram
    said = [each for each in running.overheard.messages.values() if attributes(each)["subject"] == str(clinician.user_id)]
    assert sum(each.routing_key == "user.changed" for each in said) >= 3
    before = await users(running, clinician.user_id)
    await hear_again(running, said)
    await hear_anew(running, [each for each in said if each.routing_key in ("user.changed", "user.erased")])
    await running.settled()
    assert await running.holding(*person) == set()
    assert await users(running, clinician.user_id) == before
    await something_reported(clinician)
    assert running.mails.mails_to(clinician.email) == mails


async def test_what_an_erased_author_wrote_stays(running: Running, hospital: Hospital) -> None:
    """Under a bare id, with the reason, and it still says what was signed; nobody signs in that name any more."""
    author = await engaged(hospital, "clinician")
    note = await signed(author)
    before = (await hospital.ask("ehr", "GET", f"/notes/{note}")).body
    await erased(author)
    again = {key: before[key] for key in ("patient_id", "encounter_id")} | {"content": {"kind": "progress", "text": "again"}}
    refused = await author.ask("ehr", "POST", "/notes", again, status=403)
    assert refused["type"] == "urn:nilecare:rule:UserMayNotWriteHere"
    assert (await hospital.ask("ehr", "GET", f"/notes/{note}")).body == before
    assert before["author_id"] == str(author.user_id)
    [retained] = await running.rows("ehr", "SELECT * FROM retentions WHERE user_id = :id", id=author.user_id)
    assert (retained.entries, "GDPR" in retained.reason) == (1, True)
    await hospital.ask("auth", "POST", "/login", {"email": author.email, "password": author.password}, status=401)


async def test_who_is_erased_is_so_for_good(hospital: Hospital) -> None:
    """Refused: another erasure, a suspension, a role."""
    nurse = await engaged(hospital, "nurse")
    await erased(nurse)
    user, role = f"/users/{nurse.user_id}", {"role": "nurse", "facility_id": hospital.id}
    for method, path, asked in (("DELETE", user, None), ("POST", f"{user}/suspension", None), ("POST", f"{user}/roles", role)):
        refused = await administers(hospital, method, path, asked, status=409)
        assert refused["type"] == "urn:nilecare:rule:UserCannotBecome"
