"""Somebody leaves, or is kept out (flow 23, as far as auth goes): what that means everywhere."""

from __future__ import annotations

from datetime import timedelta

import httpx
import pytest

from broker.testing import Flow
from contracts.auth import RoleWithdrawn, SessionRevoked, UserChanged, UserSuspended
from contracts.lab import LabResultAvailable, LabResultCriticalDue
from contracts.notification import NotificationSent
from tests.flows.hospital import POTASSIUM, Hospital
from tests.flows.running import Running
from tests.flows.signed_in import EVERYBODY, signed_in
from tests.flows.staff import Colleague, administers, engaged

CRITICAL = "Act now: a critical result"
HALF_AN_HOUR = timedelta(minutes=30)


async def told(running: Running, colleague: Colleague) -> list[str]:
    """The subjects of the mails that a colleague got, but for the code of the registration."""
    return [mail.subject for mail in running.outside.mails.mails_to(colleague.email)][1:]


async def something_critical(hospital: Hospital) -> str:
    """A result of which every nurse of the house is told at once, when it is released."""
    person = await hospital.registers()
    order = await hospital.orders(person, POTASSIUM)
    await hospital.accepts(order, person)
    return await hospital.measures(order, POTASSIUM, value=hospital.secret("6.9"), unit="mmol/L")


async def test_whoever_is_suspended_works_nowhere(
    running: Running, flow: Flow, hospital: Hospital, nobody: dict[str, httpx.AsyncClient]
) -> None:
    """Each of their sessions is refused everywhere; they are told, and of no patient any more.

    Their roles stay as they are: reinstated, they sign in anew and are who they were; what was revoked stays revoked.
    """
    nurse = await engaged(hospital, "nurse")
    sessions = [await signed_in(nurse, nobody) for _ in range(2)]
    assert [await each.refused_at() for each in sessions] == [set(), set()]
    results = [await something_critical(hospital) for _ in range(2)]
    async with flow.started_by(administers(hospital, "POST", f"/users/{nurse.user_id}/suspension")) as f:
        suspended = await f.published(UserSuspended, by="auth", user_id=nurse.user_id).once()
        await f.handled(suspended, by="notification")
        await f.handled(await f.published(UserChanged, user_id=nurse.user_id).once(), by=["ehr", "notification"])
        await f.handled(await f.published(SessionRevoked, by="auth").times(2), by=EVERYBODY)
    for each in sessions:
        assert await each.is_refused_everywhere()
        refused = await each.ask("POST", "/refresh", {"refresh_token": each.tokens["refresh_token"]})
        running.problems.append(refused.text)
        assert refused.status_code == 401
    await hospital.ask("auth", "POST", "/login", {"email": nurse.email, "password": nurse.password}, status=401)
    async with flow.started_by(hospital.releases(results[0])) as f:
        await f.handled(await f.published(LabResultAvailable, is_critical=True).once(), by="notification")
        f.scheduled(LabResultCriticalDue, within=HALF_AN_HOUR)
        f.never(NotificationSent, recipient_id=nurse.user_id)
    assert await told(running, nurse) == ["You have a new role", "Your account is suspended"]
    await administers(hospital, "DELETE", f"/users/{nurse.user_id}/suspension")
    assert await (await signed_in(nurse, nobody)).refused_at() == set()
    assert [await each.is_refused_everywhere() for each in sessions] == [True, True]
    async with flow.started_by(hospital.releases(results[1])) as f:
        await f.published(NotificationSent, recipient_id=nurse.user_id).once()
        f.scheduled(LabResultCriticalDue, within=HALF_AN_HOUR)
    assert CRITICAL in await told(running, nurse)


async def test_whoever_loses_a_role_does_nothing_more_by_it(
    running: Running, flow: Flow, hospital: Hospital, nobody: dict[str, httpx.AsyncClient]
) -> None:
    """No token says otherwise: the sessions end everywhere, the next has no role here, and the record takes no note."""
    clinician, person = await engaged(hospital, "clinician"), await hospital.registers()
    encounter = await hospital.admits(person)
    content = {"kind": "progress", "text": hospital.secret("the patient slept ")}
    note = {"patient_id": person.id, "encounter_id": encounter, "content": content}
    await clinician.ask("ehr", "POST", "/notes", note)
    session = await signed_in(clinician, nobody)
    assert await session.refused_at() == set()
    result = await something_critical(hospital)
    role = f"/users/{clinician.user_id}/roles/clinician?facility_id={hospital.id}"
    async with flow.started_by(administers(hospital, "DELETE", role)) as f:
        await f.published(RoleWithdrawn, by="auth", user_id=clinician.user_id).once()
        await f.handled(await f.published(UserChanged, by="auth").once(), by=["ehr", "notification"])
        await f.handled(await f.published(SessionRevoked, by="auth").once(), by=EVERYBODY)
    assert await session.is_refused_everywhere()
    assert (await clinician.signs_in())["roles"] == []
    refused = await clinician.ask("ehr", "POST", "/notes", note, status=403)
    assert refused["type"] == "urn:nilecare:rule:UserMayNotWriteHere"
    async with flow.started_by(hospital.releases(result)) as f:
        await f.handled(await f.published(LabResultAvailable).once(), by="notification")
        f.scheduled(LabResultCriticalDue, within=HALF_AN_HOUR)
        f.never(NotificationSent, recipient_id=clinician.user_id)
    assert CRITICAL not in await told(running, clinician)


@pytest.mark.parametrize(("method", "path"), [("POST", "suspension"), ("DELETE", "sessions")])
async def test_only_an_administrator_keeps_somebody_out(flow: Flow, hospital: Hospital, method: str, path: str) -> None:
    """A colleague cannot, whatever they are here; nothing happens to the sessions."""
    nurse = await engaged(hospital, "nurse")
    async with flow.started_by(nurse.ask("auth", method, f"/users/{nurse.user_id}/{path}", status=403)) as f:
        f.never(UserSuspended)
        f.never(SessionRevoked)
    await nurse.signs_in()
