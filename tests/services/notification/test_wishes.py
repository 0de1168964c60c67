"""How people want to be told, and that it is respected: preferences, hours, digests, caps."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from broker import clock
from contracts.auth import Grant
from contracts.clinical import EncounterDischarged
from contracts.facility import WardFull
from contracts.notification import NotificationDelivered, NotificationSent, NotificationSuppressed, PreferenceChanged
from services.notification import commands, rules
from tests.services.notification.conftest import Desk
from tests.services.notification.given import (
    CLINICIAN,
    CLINICIAN_MAIL,
    CLINICIAN_PHONE,
    FACILITY,
    NOON,
    NURSE,
    PATIENT,
    PATIENT_MAIL,
    PATIENT_PHONE,
    facility,
    issued,
    patient,
    result,
)
from tests.services.notification.given import user as user_changed

NIGHT = {"quiet_from": "22:00:00", "quiet_until": "07:00:00"}
LATE = NOON + timedelta(hours=9)
"""23:00 in Khartoum."""


async def wishes(desk: Desk, path: str, said: dict[str, Any], *, user: UUID | None = None, patient: UUID = PATIENT) -> None:
    """A user for themselves, or a nurse for the patient."""
    roles = () if user else ("nurse",)
    where = "/me" if user else f"/patients/{patient}"
    async with desk.work.client(*roles, at=FACILITY, subject=str(user)) as client:
        reply = await client.put(f"{where}/{path}", json=said)
    assert reply.status_code == 200, reply.text


async def unwanted(
    desk: Desk, topic: str, channel: str, *, user: UUID | None = None, patient: UUID = PATIENT, wanted: bool = False
) -> None:
    said = {"topic": topic, "channel": channel, "wanted": wanted}
    await wishes(desk, "preferences", said, user=user, patient=patient)


async def merged(desk: Desk, into: UUID, *, record: UUID = PATIENT) -> None:
    """A record is one with another from now on."""
    await desk.hears(patient(into, email=f"{into}@example.org"))
    await desk.hears(patient(record, version=2, status="merged", merged_into=into))


def discharged() -> EncounterDischarged:
    """The patient goes home."""
    return EncounterDischarged(encounter_id=uuid4(), patient_id=PATIENT, facility_id=FACILITY, discharged_at=NOON)


async def by_hand(session: AsyncSession, user_id: UUID) -> None:
    """Somebody is told that a ward is full."""
    said = {"capacity": "12", "time": NOON.isoformat()}
    whom: dict[str, Any] = {"recipient_kind": "user", "recipient_id": user_id, "facility_id": FACILITY}
    await commands.send(session, topic="ward.full", **whom, variables=said, fact=None)


async def test_an_unwanted_channel_is_left_out(desk: Desk) -> None:
    """For that topic alone; others hear that the preference changed."""
    await unwanted(desk, "invoice.issued", "email")
    await desk.hears(issued())
    assert (len(desk.mails.mails), len(desk.messages.messages_to(PATIENT_PHONE))) == (0, 1)
    [changed] = await desk.work.published(PreferenceChanged)
    assert (changed.recipient_id, changed.topic, changed.channel, changed.wanted) == (PATIENT, "invoice.issued", "email", False)
    await desk.hears(result())
    assert desk.mail(PATIENT_MAIL).subject == "A result is ready"


async def test_what_nobody_wants_is_suppressed(desk: Desk) -> None:
    """Over no channel, and the reason is said."""
    for channel in ("email", "sms"):
        await unwanted(desk, "invoice.issued", channel)
    await desk.hears(issued())
    assert [each.reason for each in await desk.work.published(NotificationSuppressed)] == ["preference"]


async def test_quiet_hours_are_kept(desk: Desk) -> None:
    """A patient's by the facility's clock: what is said at 23:00 in Khartoum comes at 7:00."""
    await wishes(desk, "contact-hours", NIGHT)
    await desk.at(LATE)
    await desk.hears(issued())
    assert (await desk.states(), desk.mails.mails) == ([("queued", None)], [])
    await desk.at(LATE + timedelta(hours=8))
    assert desk.mail(PATIENT_MAIL)


async def test_a_facility_may_be_in_another_zone(desk: Desk) -> None:
    """Where it is still light, nobody is asleep."""
    await wishes(desk, "contact-hours", NIGHT)
    await desk.hears(facility(time_zone="America/New_York").model_copy(update={"state_version": 2}))
    await desk.at(LATE)
    await desk.hears(issued())
    assert desk.mail(PATIENT_MAIL)


async def test_the_zone_can_be_said(desk: Desk) -> None:
    """A user far from home hears of things in the day of the place where they are."""
    await wishes(desk, "contact-hours", NIGHT | {"time_zone": "America/New_York"}, user=CLINICIAN)
    await desk.at(LATE)
    await desk.hears(result())
    assert desk.mail(CLINICIAN_MAIL)


async def test_critical_wakes_people(desk: Desk) -> None:
    """Whatever they said: at night, unwanted, and not in the digest. The rest of the same result waits."""
    await wishes(desk, "contact-hours", NIGHT | {"digest_at": "08:00:00"}, user=CLINICIAN)
    for channel in ("email", "sms", "push"):
        await unwanted(desk, "result.critical", channel, user=CLINICIAN)
    await desk.at(LATE)
    await desk.hears(result(is_critical=True))
    assert desk.mail(CLINICIAN_MAIL).subject == "Act now: a critical result"
    assert await desk.states("result.reported") == [("queued", None)]


async def test_a_digest_is_one_mail(desk: Desk) -> None:
    """What was collected is sent together at the hour that was said, and each of it is then sent and delivered."""
    await wishes(desk, "contact-hours", {"digest_at": "18:00:00"})
    await desk.hears(issued(), issued(number="2026-000008"))
    assert desk.mails.mails == []
    await desk.later(hours=5)
    digest = desk.mail(PATIENT_MAIL)
    assert digest.subject == "2 messages for you"
    assert digest.body.count("- Invoice 2026-00000") == 2
    assert await desk.states("invoice.issued") == [("delivered", None)] * 2
    assert [each.topic for each in await desk.work.published(NotificationSent)].count("invoice.issued") == 2
    await desk.hears(issued(number="2026-000009"))
    await desk.later(hours=24)
    assert [mail.subject for mail in desk.mails.mails] == ["2 messages for you", "1 messages for you"]


async def test_a_digest_shares_the_mails_fate(desk: Desk) -> None:
    """When the mail cannot be delivered, and there is no other way, what it carries was not either."""
    await wishes(desk, "contact-hours", {"digest_at": "18:00:00"})
    await desk.hears(patient(version=2, email="bounces@example.org", phone=None), issued())
    await desk.later(hours=5)
    assert await desk.states("digest") == [("dead", "550")]
    assert await desk.states("invoice.issued") == [("dead", None)]


@pytest.mark.parametrize("mailbox", ["bounces", "late-bounces", "spam"])
async def test_a_digest_that_no_mailbox_takes_goes_to_the_phone(desk: Desk, mailbox: str) -> None:
    """As one short message, which says nothing of what it is about; what it carries is sent over that channel too."""
    await wishes(desk, "contact-hours", {"digest_at": "18:00:00"})
    await desk.hears(patient(version=2, email=f"{mailbox}@example.org"), issued(), issued(number="2026-000008"))
    await desk.later(hours=5)
    [message] = desk.messages.messages_to(PATIENT_PHONE)
    assert message.text == "There are messages for you. Sign in to read them."
    assert await desk.states("invoice.issued") == [("delivered", None)] * 2
    delivered = [each.channel for each in await desk.work.published(NotificationDelivered) if each.topic == "invoice.issued"]
    assert delivered == ["sms", "sms"]


async def test_a_busy_mailbox_gets_the_digest_later(desk: Desk) -> None:
    """Once, with all that it carries."""
    await wishes(desk, "contact-hours", {"digest_at": "18:00:00"})
    await desk.hears(patient(version=2, email="busy@example.org"), issued())
    for _ in range(3):
        await desk.later(hours=5)
    assert desk.mail("busy@example.org").subject == "1 messages for you"
    assert await desk.states("invoice.issued") == [("delivered", None)]


@pytest.mark.parametrize("topic", ["digest", "invoice.issued"])
async def test_a_digest_goes_nowhere_unwanted(desk: Desk, topic: str) -> None:
    """Not to the phone of who wants no digest there, or nothing of what it carries."""
    await unwanted(desk, topic, "sms")
    await wishes(desk, "contact-hours", {"digest_at": "18:00:00"})
    await desk.hears(patient(version=2, email="bounces@example.org"), issued())
    await desk.later(hours=5)
    assert await desk.states("digest") == [("dead", "550")]
    assert desk.messages.messages == []


async def test_a_digest_that_one_part_wants_is_sent(desk: Desk) -> None:
    """To the phone, when something of what it carries is wanted there."""
    await unwanted(desk, "invoice.issued", "sms")
    await wishes(desk, "contact-hours", {"digest_at": "18:00:00"})
    await desk.hears(patient(version=2, email="bounces@example.org"), issued(), discharged())
    await desk.later(hours=5)
    assert await desk.states("digest") == [("delivered", "550")]


async def test_a_digest_comes_at_its_hour_and_to_the_phone_by_day(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who chose an hour of the night gets the mail then; a mail that comes back wakes nobody, and is not counted."""
    monkeypatch.setattr(rules, "CAPS", {timedelta(days=1): 0})
    await wishes(desk, "contact-hours", NIGHT | {"digest_at": "22:30:00"})
    await desk.hears(patient(version=2, email="late-bounces@example.org"), issued())
    await desk.at(LATE)
    assert await desk.attempts() == [("email", "bounced")]
    await desk.at(LATE + timedelta(hours=9))
    assert await desk.attempts() == [("email", "bounced"), ("sms", "delivered")]


async def test_a_digest_comes_back_from_who_is_gone(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A receipt after the recipient's death is taken, and nothing is sent on."""
    later: list[str] = []
    monkeypatch.setattr(desk.mails.receipts, "tell", lambda reference, *_: later.append(reference))
    await wishes(desk, "contact-hours", {"digest_at": "18:00:00"})
    await desk.hears(issued())
    await desk.later(hours=5)
    assert await desk.states("invoice.issued") == [("sent", None)]
    await desk.hears(patient(version=2, status="deceased"))
    async with desk.work.transaction() as session:
        await commands.take_receipt(session, UUID(later.pop()), "bounced", "550")
    assert await desk.states() == [("suppressed", "recipient_inactive")] * 2
    assert (later, desk.messages.messages) == ([], [])


async def test_a_digest_is_what_is_wanted_when_it_is_sent(desk: Desk) -> None:
    """What is no longer wanted by mail goes by itself to the phone, or nowhere; the rest is in the digest."""
    await wishes(desk, "contact-hours", {"digest_at": "18:00:00"})
    await desk.hears(issued(), discharged(), result())
    for topic, channel in (("invoice.issued", "email"), ("result.ready", "email"), ("result.ready", "sms")):
        await unwanted(desk, topic, channel)
    await desk.later(hours=5)
    assert desk.mail(PATIENT_MAIL).subject == "1 messages for you"
    assert [message.text[:34] for message in desk.messages.messages_to(PATIENT_PHONE)] == ["Nile Hospital: invoice 2026-000007"]
    assert await desk.states("encounter.discharged") == await desk.states("invoice.issued") == [("delivered", None)]
    assert await desk.states("result.ready") == [("suppressed", "preference")]


@pytest.mark.parametrize(
    ("then", "reason"),
    [
        ({"status": "suspended"}, "recipient_inactive"),
        ({"grants": ()}, "not_at_facility"),
        ({"status": "deleted"}, "recipient_unknown"),
    ],
    ids=str,
)
async def test_a_digest_is_for_who_is_there_when_it_is_sent(desk: Desk, then: dict[str, Any], reason: str) -> None:
    """What was collected for somebody who has left meanwhile is not sent, and others hear why."""
    await wishes(desk, "contact-hours", {"digest_at": "18:00:00"}, user=CLINICIAN)
    await desk.hears(result())
    await desk.hears(user_changed(version=2, **then))
    await desk.later(hours=7)
    assert await desk.states("result.reported") == [("suppressed", reason)]
    assert await desk.states("digest") == []
    assert [each.reason for each in await desk.work.published(NotificationSuppressed)] == [reason]


@pytest.mark.parametrize("roles_left", [0, 1])
async def test_a_digest_that_is_tried_again_says_nothing_of_where_somebody_has_left(desk: Desk, roles_left: int) -> None:
    """What it carries of a facility at which they have no role any more is taken out, and without anything left, it ends."""
    elsewhere, busy = uuid4(), "busy@example.org"
    grants = tuple(Grant(role="clinician", facility_id=each) for each in (FACILITY, elsewhere))
    await desk.hears(facility(elsewhere), user_changed(version=2, grants=grants, email=busy))
    await wishes(desk, "contact-hours", {"digest_at": "18:00:00"}, user=CLINICIAN)
    await desk.hears(result(), result().model_copy(update={"facility_id": elsewhere}))
    await desk.later(hours=5)
    assert await desk.states("digest") == [("retry", "450")]
    await desk.hears(user_changed(version=3, grants=grants[:roles_left], email=busy))
    for _ in range(2):
        await desk.later(hours=1)
    gone = ("suppressed", "not_at_facility")
    told = [("delivered", None)] * roles_left
    assert sorted(await desk.states("result.reported", of=CLINICIAN)) == [*told, *[gone] * (2 - roles_left)]
    assert await desk.states("digest") == ([("delivered", "450")] if roles_left else [gone])
    assert [mail.subject for mail in desk.mails.mails_to(busy)] == ["1 messages for you"] * roles_left


async def test_what_is_being_tried_again_waits_for_no_digest(desk: Desk) -> None:
    """Who asks for a digest while a mailbox is busy gets what was on its way by itself."""
    await desk.hears(patient(version=2, email="busy@example.org"), issued())
    assert await desk.states("invoice.issued") == [("retry", "450")]
    await wishes(desk, "contact-hours", {"digest_at": "18:00:00"})
    for _ in range(2):
        await desk.later(hours=1)
    assert await desk.states("invoice.issued") == [("delivered", "450")]


async def test_a_digest_finds_what_was_for_somebody_who_was_merged(desk: Desk) -> None:
    """What waited for the morning of one record is in the digest of the one that lives on."""
    survivor = uuid4()
    await desk.hears(patient(survivor, email="survivor@example.org"))
    await wishes(desk, "contact-hours", NIGHT)
    await desk.at(LATE)
    await desk.hears(issued())
    await wishes(desk, "contact-hours", {"digest_at": "18:00:00"}, patient=survivor)
    await desk.hears(patient(version=2, status="merged", merged_into=survivor))
    await desk.later(hours=12)
    await desk.later(hours=24)
    assert desk.mail("survivor@example.org").subject == "1 messages for you"
    assert await desk.states("invoice.issued") == [("delivered", None)]


async def test_who_was_merged_still_does_not_want_it(desk: Desk) -> None:
    """Said for one record, it is said for the person: over merges of merges, and also when it is said after the merge."""
    survivor, between = uuid4(), uuid4()
    await unwanted(desk, "invoice.issued", "email")
    await merged(desk, between)
    await merged(desk, survivor, record=between)
    await unwanted(desk, "invoice.issued", "sms")
    await desk.hears(issued(patient_id=survivor))
    assert await desk.states() == [("suppressed", "preference")]


async def test_of_two_records_the_last_word_counts(desk: Desk) -> None:
    """Whoever said no for one of them, and then yes for the other, is told; unmerged, each has its own word again."""
    survivor = uuid4()
    await unwanted(desk, "invoice.issued", "email")
    await merged(desk, survivor)
    await unwanted(desk, "invoice.issued", "email", patient=survivor, wanted=True)
    await desk.hears(issued(patient_id=survivor))
    assert desk.mail(f"{survivor}@example.org")
    await desk.hears(patient(version=3), issued())
    assert desk.messages.messages_to(PATIENT_PHONE)


async def test_who_was_merged_still_sleeps(desk: Desk) -> None:
    """The hours that were said last for one of the records are those of the person."""
    survivor = uuid4()
    await desk.hears(patient(survivor))
    await wishes(desk, "contact-hours", {}, patient=survivor)
    await desk.later(minutes=1)
    await wishes(desk, "contact-hours", NIGHT)
    await merged(desk, survivor)
    await desk.at(LATE)
    await desk.hears(issued(patient_id=survivor))
    assert (await desk.states(), desk.mails.mails) == ([("queued", None)], [])


async def test_two_records_have_one_cap(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was sent under the one counts for the other."""
    monkeypatch.setattr(rules, "CAPS", {timedelta(hours=1): 1})
    await desk.hears(issued())
    survivor = uuid4()
    await merged(desk, survivor)
    await desk.hears(issued(patient_id=survivor, number="2026-000008"))
    assert await desk.states() == [("delivered", None), ("suppressed", "cap_reached")]


async def test_enough_is_enough(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the cap nothing goes to one recipient but what is critical; an hour later there is room again."""
    monkeypatch.setattr(rules, "CAPS", {timedelta(hours=1): 2})
    await desk.hears(*(result() for _ in range(3)))
    mine = await desk.states("result.reported")
    assert mine.count(("suppressed", "cap_reached")) == 1
    assert (await desk.states("result.ready")).count(("suppressed", "cap_reached")) == 1
    await desk.hears(result(is_critical=True))
    assert await desk.states("result.critical") == [("delivered", None)]
    await desk.at(clock.now() + timedelta(minutes=61))
    await desk.hears(result())
    assert (await desk.states("result.reported"))[-1] == ("delivered", None)


async def test_enough_is_enough_at_once(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two events at the same moment do not both take the last place: the second is counted when the first is."""
    monkeypatch.setattr(rules, "CAPS", {timedelta(hours=1): 2})
    await desk.hears(issued(number="2026-000001"))
    async with asyncio.TaskGroup() as group, desk.work.transaction() as session:
        await commands.announce(session, issued(number="2026-000002"), at_once=False, told_at=clock.now())
        group.create_task(desk.work.deliver(issued(number="2026-000003")))
        await desk.work.somebody_waits()
    await desk.settle()
    assert await desk.states() == [("delivered", None)] * 2 + [("suppressed", "cap_reached")]


async def test_two_who_tell_the_same_people_take_turns(desk: Desk) -> None:
    """In one order, whoever is addressed and whoever follows: neither waits for somebody whom the other holds."""
    first, second = sorted((uuid4(), uuid4()))
    full = WardFull(ward_id=uuid4(), facility_id=FACILITY, capacity=12, full_since=NOON)
    await desk.hears(user_changed(first, role="nurse"), user_changed(second, role="bed_manager"))
    async with desk.work.transaction() as session:
        await commands.follow(session, topic="ward.full", facility_id=FACILITY, role="nurse", user_id=None)
    async with asyncio.TaskGroup() as group, desk.work.transaction() as session:
        await by_hand(session, first)
        group.create_task(desk.work.deliver(full))
        await desk.work.somebody_waits()
        await by_hand(session, second)
    await desk.settle()
    assert await desk.states() == [("delivered", None)] * 4


async def test_what_is_missing_is_not_sent(desk: Desk) -> None:
    """Fails closed: suppressed and reported, neither half nor over another channel."""
    nameless = {
        "topic": "invoice.issued",
        "recipient_kind": "patient",
        "recipient_id": str(PATIENT),
        "facility_id": str(FACILITY),
    }
    async with desk.work.client("notification_manager", at=FACILITY) as manager:
        sent = await manager.post("/notifications", json=nameless | {"variables": {"amount": "40.00 USD"}})
    await desk.settle()
    assert (sent.json()["status"], sent.json()["reason"]) == ("suppressed", "missing_variable")
    assert (desk.mails.mails, desk.messages.messages) == ([], [])
    assert [each.reason for each in await desk.work.published(NotificationSuppressed)] == ["missing_variable"]


async def test_a_device_is_pushed_to(desk: Desk) -> None:
    """The last one that was registered, when mail and text are not wanted."""
    for channel in ("email", "sms"):
        await unwanted(desk, "result.reported", channel, user=CLINICIAN)
    async with desk.work.client(at=None, subject=str(CLINICIAN)) as clinician:
        for token in ("device-token-old", "device-token-new"):
            assert (await clinician.put("/me/device", json={"token": token})).status_code == 200
    await desk.hears(result())
    assert [(each.channel, each.to) for each in desk.messages.messages] == [("push", "device-token-new")]
    assert desk.messages.messages_to(CLINICIAN_PHONE) == []


async def pushed(desk: Desk, user_id: UUID) -> None:
    """A user who is told of results by push alone, over the device that the whole ward uses."""
    for channel in ("email", "sms"):
        await unwanted(desk, "result.reported", channel, user=user_id)
    async with desk.work.client(at=None, subject=str(user_id)) as client:
        assert (await client.put("/me/device", json={"token": "device-of-the-ward"})).status_code == 200


async def test_a_device_is_that_of_who_uses_it_now(desk: Desk) -> None:
    """On a shared one the next user gets their own news, and none of those of the user before, also at the same moment."""
    await desk.hears(user_changed(NURSE, role="nurse"))
    await pushed(desk, CLINICIAN)
    async with asyncio.TaskGroup() as group, desk.work.transaction() as session:
        await commands.register_device(session, user_id=CLINICIAN, token="device-of-the-ward")
        group.create_task(pushed(desk, NURSE))
        await desk.work.somebody_waits()
    await desk.hears(result(ordered_by=CLINICIAN), result(ordered_by=NURSE))
    assert await desk.states("result.reported", of=CLINICIAN) == [("suppressed", "preference")]
    assert await desk.states("result.reported", of=NURSE) == [("delivered", None)]
    assert len(desk.messages.messages_to("device-of-the-ward")) == 1


async def test_a_device_can_be_forgotten(desk: Desk) -> None:
    """By its user, to whom it is listed without its token; nobody else's address can be."""
    await pushed(desk, CLINICIAN)
    await desk.hears(issued())
    async with desk.work.client(at=None, subject=str(CLINICIAN)) as clinician:
        [device] = (await clinician.get("/me/devices")).json()["items"]
        assert "device-of-the-ward" not in str(device)
        [(mailbox,)] = await desk.rows("SELECT address_id FROM addresses WHERE channel = 'email'")
        async with desk.work.client(at=None, subject=str(NURSE)) as nurse:
            assert (await nurse.get("/me/devices")).json()["items"] == []
            assert (await nurse.delete(f"/me/devices/{device['address_id']}")).status_code == 404
        assert (await clinician.delete(f"/me/devices/{mailbox}")).status_code == 404
        assert (await clinician.delete(f"/me/devices/{device['address_id']}")).status_code == 204
        assert (await clinician.get("/me/devices")).json()["items"] == []
    await desk.hears(result())
    assert await desk.states("result.reported") == [("suppressed", "preference")]
