"""Somebody leaves, or is kept out: what auth does about it, and what it means everywhere (flow 23, as far as auth goes)."""

from __future__ import annotations

import httpx
import pytest

from tests.flows.hospital import POTASSIUM, Hospital
from tests.flows.running import Running
from tests.flows.signed_in import AT_ONCE, signed_in
from tests.flows.staff import Colleague, administers, engaged
from tests.waiting import until

CRITICAL = "Act now: a critical result"


async def told(running: Running, colleague: Colleague) -> list[str]:
    """The subjects of the mails that a colleague got, but for the code of the registration."""
    return [mail.subject for mail in running.mails.mails_to(colleague.email)][1:]


async def something_critical(hospital: Hospital) -> None:
    """A result of which every nurse of the house is told at once."""
    person = await hospital.registers()
    order = await hospital.orders(person, POTASSIUM)
    await hospital.accepts(order, person)
    await hospital.releases(await hospital.measures(order, POTASSIUM, value=hospital.secret("6.9"), unit="mmol/L"))


async def test_whoever_is_suspended_works_nowhere(
    running: Running, hospital: Hospital, nobody: dict[str, httpx.AsyncClient]
) -> None:
    """Each of their sessions is refused everywhere within a second; they are told, and of no patient any more.

    Their roles stay as they are: reinstated, they sign in anew and are who they were; what was revoked stays revoked.
    """
    nurse = await engaged(hospital, "nurse")
    sessions = [await signed_in(nurse, nobody) for _ in range(2)]
    assert [await each.refused_at() for each in sessions] == [set(), set()]
    await administers(hospital, "POST", f"/users/{nurse.user_id}/suspension")
    for each in sessions:
        await until(each.is_refused_everywhere, within=AT_ONCE)
        refused = await each.ask("POST", "/refresh", {"refresh_token": each.tokens["refresh_token"]})
        running.problems.append(refused.text)
        assert refused.status_code == 401
    await hospital.ask("auth", "POST", "/login", {"email": nurse.email, "password": nurse.password}, status=401)
    await something_critical(hospital)
    assert await told(running, nurse) == ["You have a new role", "Your account is suspended"]
    await administers(hospital, "DELETE", f"/users/{nurse.user_id}/suspension")
    assert await (await signed_in(nurse, nobody)).refused_at() == set()
    assert [await each.is_refused_everywhere() for each in sessions] == [True, True]
    await something_critical(hospital)
    assert CRITICAL in await told(running, nurse)


async def test_whoever_loses_a_role_does_nothing_more_by_it(
    running: Running, hospital: Hospital, nobody: dict[str, httpx.AsyncClient]
) -> None:
    """No token says otherwise: the sessions end everywhere, the next has no role here, and the record takes no note."""
    clinician, person = await engaged(hospital, "clinician"), await hospital.registers()
    encounter = await hospital.admits(person)
    await running.settled()
    content = {"kind": "progress", "text": hospital.secret("the patient slept ")}
    note = {"patient_id": person.id, "encounter_id": encounter, "content": content}
    await clinician.ask("ehr", "POST", "/notes", note)
    session = await signed_in(clinician, nobody)
    assert await session.refused_at() == set()
    role = f"/users/{clinician.user_id}/roles/clinician?facility_id={hospital.id}"
    withdrawn = await administers(hospital, "DELETE", role)
    assert "role.withdrawn" in await running.published(withdrawn.flow, "auth")
    await until(session.is_refused_everywhere, within=AT_ONCE)
    assert (await clinician.signs_in())["roles"] == []
    refused = await clinician.ask("ehr", "POST", "/notes", note, status=403)
    assert refused["type"] == "urn:nilecare:rule:UserMayNotWriteHere"
    await something_critical(hospital)
    assert CRITICAL not in await told(running, clinician)


@pytest.mark.parametrize("path", ["suspension", "sessions"])
async def test_only_an_administrator_keeps_somebody_out(hospital: Hospital, path: str) -> None:
    """A colleague cannot, whatever they are here; nothing happens to the sessions."""
    nurse = await engaged(hospital, "nurse")
    method = "POST" if path == "suspension" else "DELETE"
    await nurse.ask("auth", method, f"/users/{nurse.user_id}/{path}", status=403)
    await nurse.signs_in()
