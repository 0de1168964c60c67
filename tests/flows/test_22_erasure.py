"""A user is erased: of the person nothing is left anywhere, nothing comes back, and the clinical record stays (flow 22)."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest
from click.testing import CliRunner

from broker import Permanent, Service
from broker._corrections import discard
from broker._database import Database
from broker._dead_letters import Filter, find
from broker._delivery import Delivery
from broker._failures import Failures
from broker._sight import Said
from broker.testing import Flow, faults
from contracts.auth import UserErased
from nilecare import replicas
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


async def said_of(running: Running, colleague: Colleague) -> list[Said]:
    """Everything that was ever said of a user, in any flow."""
    sight = running.deployment.flows.sight()
    await sight.look()
    return [said for said in sight.said if said.key == str(colleague.user_id)]


async def users(running: Running, user_id: UUID) -> list[Any]:
    """What the replicas say of a user."""
    query = "SELECT * FROM user_reference WHERE id = :id"
    return [row for name in REPLICAS for row in await running.rows(name, query, id=user_id)]


async def test_nothing_is_left_of_an_erased_user(running: Running, flow: Flow, hospital: Hospital) -> None:
    """No table of any service holds name or address, once whatever followed is over; that an id was erased is all they say.

    Not even when everything that auth ever said of them is heard again, the latest first, remembered or not.
    """
    clinician = await engaged(hospital, "clinician")
    await clinician.signs_in()
    await something_reported(clinician)
    mails = running.outside.mails.mails_to(clinician.email)
    person = await person_behind(running, clinician)
    assert {"auth public.auth_users", "notification public.user_reference"} <= await running.holding(*person)
    async with flow.started_by(erased(clinician)) as f:
        erasure = await f.published(UserErased, by="auth", user_id=clinician.user_id).once()
        await f.handled(erasure, by=["auth.erasures", "ehr", "notification"])
        for keeper in REPLICAS:
            await f.replica(f"{keeper}.user_reference", clinician.user_id).reaches(status="deleted")
    assert await running.holding(*person) == set()
    assert {row.status for row in await users(running, clinician.user_id)} == {"deleted"}
    assert len(await users(running, clinician.user_id)) == len(REPLICAS)
    said = await said_of(running, clinician)
    assert [each.type for each in said].count("user.changed") >= 3
    before = await users(running, clinician.user_id)
    await faults.again(running.deployment, said, backwards=True)
    await faults.anew(running.deployment, [each for each in said if each.type in ("user.changed", "user.erased")])
    await running.settled()
    assert await running.holding(*person) == set()
    assert await users(running, clinician.user_id) == before
    await something_reported(clinician)
    assert running.outside.mails.mails_to(clinician.email) == mails


def notification(running: Running) -> tuple[Service, Database]:
    """The service, and its database as itself sees it."""
    runtime = running.deployment.runtimes["notification"]
    return runtime.service, runtime.database


async def failed_here(running: Running, colleague: Colleague) -> None:
    """What auth said of a user, a secret code among it, could not be handled in notification."""
    service, database = notification(running)
    [subscription] = [each for each in service.subscriptions if each.name == "tell_at_once"]
    messages = (await running.overheard.everything()).values()
    codes = [each for each in messages if each.routing_key == "auth.verification.requested"]
    last = [Delivery.received(each) for each in codes if attributes(each)["subject"] == str(colleague.user_id)][-1]
    last = replace(last, message_id=str(uuid4()))
    async with database.transaction() as session:
        failures = Failures(service)
        await failures.record(session, subscription, last, last.envelope(), Permanent("it was not to be read"))


async def proof(running: Running, colleague: Colleague, monkeypatch: pytest.MonkeyPatch) -> tuple[int, dict[str, Any]]:
    """What the command says, with the rights that each service's account has."""
    for name in ("postgres_url", "amqp_url", "management_url", "secret", "prefix"):
        monkeypatch.setenv(f"NILECARE_{name.upper()}", getattr(running.deployment.platform, name))
    asked = ("erased", str(colleague.user_id), "--json")
    result = await asyncio.to_thread(CliRunner().invoke, replicas.group, asked)
    return result.exit_code, json.loads(result.stdout)


async def test_the_command_proves_an_erasure(running: Running, hospital: Hospital, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the data was, a dead letter among it; that it is gone; and what is kept, with the law that says so."""
    author = await engaged(hospital, "clinician")
    await signed(author)
    code, said = await proof(running, author, monkeypatch)
    assert (code, said["is_known"], said["is_done"]) == (1, False, False)
    await failed_here(running, author)
    await erased(author)
    await running.settled()
    code, said = await proof(running, author, monkeypatch)
    places = {f"{each['service']} {place['table']}": place for each in said["services"] for place in each["places"]}
    assert (code, said["is_done"]) == (0, True)
    assert (places["notification backbone.failed_message"]["then"], places["ehr notes"]["now"]) == (1, 1)
    assert "GDPR Article 17(3)" in places["ehr notes"]["because"]
    _, database = notification(running)
    async with database.transaction() as session:
        [kept] = await find(session, Filter(key=str(author.user_id)), with_body=True)
        assert json.loads(kept.body or b"")["code"] == ""
        await discard(session, kept.position, uuid4())


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
