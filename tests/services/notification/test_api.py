"""Notification over HTTP: who may ask what, and what is refused by which rule."""

from __future__ import annotations

import runpy
from typing import Any
from uuid import uuid4

import pytest

from broker import RuleBroken
from broker._access import gates_of
from nilecare.declared import asked
from services.auth.app import service as auth
from services.notification.announcements import ANNOUNCEMENTS, Everybody
from services.notification.app import service
from services.notification.errors import (
    AddressIsNotUsable,
    FollowersHaveARoleThere,
    QuietHoursNeedAnEnd,
    TimeZoneIsUnknown,
    TopicCannotBeFollowed,
    TopicIsSentByEventsOnly,
    TopicIsUnknown,
    VariableIsMalformed,
    VariableIsUnknown,
)
from tests.services.notification.conftest import Desk
from tests.services.notification.given import CLINICIAN, FACILITY, PATIENT, PATIENT_MAIL, facility, issued, result, user

TOLD = {"recipient_kind": "patient", "recipient_id": str(PATIENT), "facility_id": str(FACILITY)}


async def test_somebody_is_told_by_hand(desk: Desk) -> None:
    """Once, where a fact is named; the manager sees what became of it, and not what it says."""
    async with desk.work.client("notification_manager", at=FACILITY) as manager:
        sent = [
            (await manager.post("/notifications", json=TOLD | {"topic": "result.ready", "fact": "call 7"})).json()
            for _ in range(2)
        ]
        await desk.settle()
        listed = (await manager.get("/notifications", params={"topic": "result.ready", "status": "delivered"})).json()["items"]
        tried = (await manager.get(f"/notifications/{sent[0]['notification_id']}/deliveries")).json()["items"]
    assert sent[0]["notification_id"] == sent[1]["notification_id"] == listed[0]["notification_id"]
    assert not {"subject", "body"} & listed[0].keys()
    assert [(each["channel"], each["status"], each["template_version"]) for each in tried] == [("email", "delivered", 0)]
    assert desk.mail(PATIENT_MAIL)


async def test_one_reads_and_acknowledges_what_one_was_told(desk: Desk) -> None:
    """One's own, the newest first; what is somebody else's does not exist, and again changes nothing."""
    await desk.hears(result())
    async with (
        desk.work.client(at=None, subject=str(CLINICIAN)) as clinician,
        desk.work.client(at=None, subject=str(uuid4())) as other,
    ):
        [told] = (await clinician.get("/me/notifications")).json()["items"]
        path = f"/me/notifications/{told['notification_id']}/acknowledge"
        first, again = [(await clinician.post(path)).json() for _ in range(2)]
        assert (await other.post(path)).status_code == 404
        assert (await other.get("/me/notifications")).json()["items"] == []
    assert told["subject"] == "Results of an order of yours"
    assert first["acknowledged_at"] == again["acknowledged_at"] is not None


@pytest.mark.parametrize(
    ("path", "body", "rule"),
    [
        ("/notifications", TOLD | {"topic": "weather"}, TopicIsUnknown),
        ("/notifications", TOLD | {"topic": "account.verification"}, TopicIsSentByEventsOnly),
        ("/notifications", TOLD | {"topic": "result.ready", "variables": {"value": "7.2"}}, VariableIsUnknown),
        ("/notifications", TOLD | {"topic": "ward.full", "variables": {"time": "your test is positive"}}, VariableIsMalformed),
        ("/subscriptions", {"topic": "result.ready", "facility_id": str(FACILITY), "role": "nurse"}, TopicCannotBeFollowed),
        (
            "/subscriptions",
            {"topic": "ward.full", "facility_id": str(FACILITY), "user_id": str(uuid4())},
            FollowersHaveARoleThere,
        ),
    ],
)
async def test_rules_are_told_by_name(desk: Desk, path: str, body: dict[str, Any], rule: type[RuleBroken]) -> None:
    """To who manages notifications."""
    async with desk.work.client("notification_manager", at=FACILITY) as manager:
        refused = await manager.post(path, json=body)
    assert (refused.status_code, refused.json()["type"]) == (rule.status, f"urn:nilecare:rule:{rule.__name__}")


@pytest.mark.parametrize(
    ("path", "body", "rule"),
    [
        ("/me/contact-hours", {"quiet_from": "22:00:00"}, QuietHoursNeedAnEnd),
        ("/me/contact-hours", {"time_zone": "Khartoum"}, TimeZoneIsUnknown),
        ("/me/device", {"token": "not a device"}, AddressIsNotUsable),
    ],
)
async def test_wishes_have_rules(desk: Desk, path: str, body: dict[str, Any], rule: type[RuleBroken]) -> None:
    """To who wishes."""
    async with desk.work.client(at=None, subject=str(CLINICIAN)) as clinician:
        refused = await clinician.put(path, json=body)
    assert (refused.status_code, refused.json()["type"]) == (rule.status, f"urn:nilecare:rule:{rule.__name__}")


async def test_another_facility_sees_nothing(desk: Desk) -> None:
    """Neither what was sent, nor the addresses, nor can it tell or follow anything here."""
    await desk.hears(issued())
    [(id_,)] = await desk.rows("SELECT notification_id FROM notifications")
    async with desk.work.client("notification_manager", "nurse", at=uuid4()) as stranger:
        assert (await stranger.get("/notifications")).json()["items"] == []
        refused = [
            await stranger.get(f"/notifications/{id_}/deliveries"),
            await stranger.get(f"/recipients/{PATIENT}/addresses"),
            await stranger.get(f"/recipients/{CLINICIAN}/addresses"),
            await stranger.post("/notifications", json=TOLD | {"topic": "result.ready"}),
            await stranger.put(f"/patients/{PATIENT}/contact-hours", json={}),
            await stranger.post("/subscriptions", json={"topic": "ward.full", "facility_id": str(FACILITY), "role": "nurse"}),
        ]
    assert [reply.status_code for reply in refused] == [404] * len(refused)


async def test_only_who_belongs_to_a_facility_is_told_by_hand(desk: Desk) -> None:
    """A colleague of the facility, or of every one; whoever has no role there, or does not exist, is not found."""
    outsider, everywhere = uuid4(), uuid4()
    await desk.hears(user(outsider, at=uuid4()), user(everywhere, at=None))
    said = {"topic": "sample.rejected", "recipient_kind": "user", "facility_id": str(FACILITY)}
    async with desk.work.client("notification_manager", at=FACILITY) as manager:
        sent = [
            (await manager.post("/notifications", json=said | {"recipient_id": str(each)})).status_code
            for each in (CLINICIAN, everywhere, outsider, uuid4())
        ]
    assert sent == [201, 201, 404, 404]
    assert {row.recipient_id for row in await desk.rows("SELECT recipient_id FROM notifications")} == {CLINICIAN, everywhere}


async def test_a_patient_is_told_by_hand_at_their_own_facility(desk: Desk) -> None:
    """Not in the name of another one, also by who manages both: they would hear of a result that they do not have there."""
    elsewhere = uuid4()
    await desk.hears(facility(elsewhere))
    said = TOLD | {"topic": "result.ready", "facility_id": str(elsewhere)}
    async with desk.work.client("notification_manager", at=None) as manager:
        refused = await manager.post("/notifications", json=said)
    assert (refused.status_code, await desk.states()) == (404, [])


def test_every_role_is_one_that_auth_grants() -> None:
    """Who may ask, and who is told as one of many: a role that nobody can have asks nothing, and hears nothing."""
    assert auth.migrations is not None
    migrations = auth.migrations.glob("versions/*.py")
    granted = set[str]().union(*(runpy.run_path(str(each)).get("ROLES", ()) for each in migrations))
    may_ask = {role for _, route in asked(service) for gate in gates_of(route.dependant) for role in gate.roles}
    told = {audience.role for each in ANNOUNCEMENTS for audience in each.to if isinstance(audience, Everybody)}
    assert (may_ask | told) - granted == set()


async def test_topics_tell_what_templates_may_use(desk: Desk) -> None:
    """The variables of each, by name."""
    async with desk.work.client("notification_manager", at=None) as manager:
        topics = {each["name"]: each for each in (await manager.get("/topics")).json()["items"]}
    assert topics["invoice.issued"]["variables"] == ["amount", "due_on", "facility", "invoice_number", "name"]
