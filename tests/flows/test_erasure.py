"""A user is erased: of the person nothing is left anywhere, nothing comes back, and the clinical record stays (flow 22)."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest
from click.testing import CliRunner

from broker import Permanent
from broker._corrections import discard
from broker._dead_letters import Filter, find
from broker._delivery import Delivery
from broker._failures import Failures
from nilecare import replicas
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


async def failed_here(running: Running, colleague: Colleague) -> None:
    """What auth said of a user, a secret code among it, could not be handled in notification."""
    runtime = running.runtimes["notification"]
    [subscription] = [each for each in runtime.service.subscriptions if each.name == "tell_at_once"]
    codes = [each for each in running.overheard.messages.values() if each.routing_key == "auth.verification.requested"]
    last = [Delivery.received(each) for each in codes if attributes(each)["subject"] == str(colleague.user_id)][-1]
    last = replace(last, message_id=str(uuid4()))
    async with runtime.database.transaction() as session:
        failures = Failures(runtime.service)
        await failures.record(session, subscription, last, last.envelope(), Permanent("it was not to be read"))


async def proof(running: Running, colleague: Colleague, monkeypatch: pytest.MonkeyPatch) -> tuple[int, dict[str, Any]]:
    """What the command says, with the rights that each service's account has."""
    for name in ("postgres_url", "amqp_url", "management_url", "secret", "prefix"):
        monkeypatch.setenv(f"NILECARE_{name.upper()}", getattr(running.platform, name))
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
    async with running.runtimes["notification"].database.transaction() as session:
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
