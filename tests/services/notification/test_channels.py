"""What the channels say: for now, for good, later, or nothing at all."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import aiosmtplib
import pytest

from contracts.notification import NotificationFailed, NotificationSent
from services.notification import rules
from services.notification.outside import NOBODY_KNOWS
from tests.services.notification.conftest import SECRET, Desk
from tests.services.notification.given import PATIENT, PATIENT_PHONE, facility, issued, patient


async def reached(desk: Desk, **where: Any) -> None:
    """The patient is reached there from now on, and an invoice is issued."""
    await desk.hears(patient(version=2, **where), issued())


async def test_a_busy_mailbox_is_tried_again(desk: Desk) -> None:
    """After growing pauses, as the same notification; it arrives once."""
    await reached(desk, email="busy@example.org")
    assert await desk.states() == [("retry", "450")]
    await desk.later(seconds=29)
    assert await desk.attempts() == [("email", "deferred")]
    await desk.later(seconds=2)
    await desk.later(minutes=3)
    assert await desk.attempts() == [("email", "deferred"), ("email", "deferred"), ("email", "delivered")]
    assert (await desk.states(), len(desk.mails.mails)) == ([("delivered", "450")], 1)


async def test_a_bounce_goes_to_the_phone(desk: Desk) -> None:
    """The address is used no more until somebody has seen to it; the phone gets a text that says nothing of the person."""
    await reached(desk, email="bounces@example.org")
    assert await desk.attempts() == [("email", "bounced"), ("sms", "delivered")]
    [text] = desk.messages.messages_to(PATIENT_PHONE)
    assert text.text == "Nile Hospital: invoice 2026-000007 is due on 2026-04-09. Sign in to see it."
    await desk.hears(issued(number="2026-000008"))
    assert (await desk.attempts())[2:] == [("sms", "delivered")]
    async with desk.work.client("notification_manager", at=None) as manager:
        addresses = (await manager.get(f"/recipients/{PATIENT}/addresses")).json()["items"]
        [disabled] = [each["address_id"] for each in addresses if each["disabled_at"]]
        assert (await manager.post(f"/addresses/{disabled}/enable")).json()["disabled_at"] is None
    await desk.hears(issued(number="2026-000009"))
    assert (await desk.attempts())[3:] == [("email", "bounced"), ("sms", "delivered")]


async def test_another_address_is_not_disabled(desk: Desk) -> None:
    """It was the address that bounced, not the person."""
    await reached(desk, email="bounces@example.org")
    await desk.hears(patient(version=3, email="new@example.org"), issued(number="2026-000008"))
    assert desk.mail("new@example.org")


@pytest.mark.parametrize(("mailbox", "code"), [("blocked", "550"), ("spam", "554")])
async def test_a_refusal_is_no_bounce(desk: Desk, mailbox: str, code: str) -> None:
    """The server did not want this message, or us; the mailbox is there, and is used again."""
    await reached(desk, email=f"{mailbox}@example.org")
    assert (await desk.attempts(), await desk.states()) == (
        [("email", "refused"), ("sms", "delivered")],
        [("delivered", code)],
    )
    assert await desk.rows("SELECT channel FROM addresses WHERE disabled_at IS NOT NULL") == []


async def test_a_late_bounce_goes_to_the_phone(desk: Desk) -> None:
    """It was taken, and comes back: the receipt counts."""
    await reached(desk, email="late-bounces@example.org")
    assert await desk.attempts() == [("email", "bounced"), ("sms", "delivered")]
    assert (await desk.work.published(NotificationSent))[-1].channel == "sms"


@pytest.mark.parametrize(("email", "phone"), [("lost@example.org", None), (None, "+249900000499")])
async def test_a_lost_answer_makes_one_message(desk: Desk, email: str | None, phone: str | None) -> None:
    """Nobody knows whether it was taken: it is sent again, and is recognised as the same."""
    await reached(desk, email=email, phone=phone)
    taken, kept = (desk.mails.taken, desk.mails.mails) if email else (desk.messages.taken, desk.messages.messages)
    assert (list(taken.values()), len(kept)) == ([2], 1)
    assert await desk.states() == [("delivered", None)]


async def test_an_answer_that_never_comes_has_an_end(desk: Desk) -> None:
    """After some attempts, all of the same message, it counts as not sent: another channel is tried, or it is dead."""
    await reached(desk, email=None, phone="+249900000500")
    assert (await desk.attempts(), await desk.states()) == ([("sms", "refused")], [("dead", "unknown")])
    assert list(desk.messages.taken.values()) == [NOBODY_KNOWS.at_most]


async def test_our_own_credentials_are_no_refusal(desk: Desk) -> None:
    """Until somebody has put them right every message waits; then it goes."""
    right = desk.workers.settings
    desk.workers.settings = {**right, "message_gateway_secret": "an old one"}
    await reached(desk, email=None)
    assert (await desk.states(), await desk.attempts()) == ([("retry", "401")], [("sms", "deferred")])
    desk.workers.settings = right
    await desk.later(minutes=1)
    assert (await desk.attempts())[1:] == [("sms", "delivered")]


async def test_credentials_are_shown_over_tls_only(desk: Desk) -> None:
    """To a mail server that has no TLS, or from which somebody has cut it off, nothing is sent."""
    address = desk.workers.settings["smtp"].removeprefix("smtp://")
    desk.workers.settings = {**desk.workers.settings, "smtp": f"smtp://hospital:secret@{address}"}
    await reached(desk)
    assert (await desk.states(), desk.mails.mails) == ([("retry", "unreachable")], [])


async def test_a_server_that_does_not_know_us(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuses us, and no mail: it is tried again."""

    async def refuses(smtp: aiosmtplib.SMTP) -> None:
        raise aiosmtplib.SMTPAuthenticationError(535, "5.7.8 Authentication credentials invalid")

    monkeypatch.setattr(aiosmtplib.SMTP, "connect", refuses)
    await reached(desk)
    assert (await desk.states(), await desk.attempts()) == ([("retry", "535")], [("email", "deferred")])


async def test_nothing_works(desk: Desk) -> None:
    """When the last channel has failed for good it is dead, and others hear of it."""
    await reached(desk, email="bounces@example.org", phone="+249900000550")
    assert await desk.states() == [("dead", "422")]
    [failed] = await desk.work.published(NotificationFailed)
    assert (failed.channel, failed.reason, failed.recipient_id) == ("sms", "422", PATIENT)


async def test_a_channel_is_not_tried_for_ever(desk: Desk) -> None:
    """A server that cannot be reached counts as busy: after the last attempt the next channel is taken."""
    desk.workers.settings = {**desk.workers.settings, "smtp": "smtp://127.0.0.1:9"}
    await reached(desk)
    for pause in rules.RETRY_AFTER:
        assert (await desk.states())[0] == ("retry", "unreachable")
        await desk.later(seconds=pause.total_seconds() + 1)
    assert await desk.attempts() == [("email", "deferred")] * (len(rules.RETRY_AFTER) + 1) + [("sms", "delivered")]


async def test_the_gateway_is_tried_again_too(desk: Desk) -> None:
    """503 is no refusal."""
    await reached(desk, email=None, phone="+249900000450")
    await desk.later(minutes=1)
    await desk.later(minutes=3)
    assert [state for _, state in await desk.attempts()] == ["deferred", "deferred", "delivered"]


async def test_no_address_is_no_failure(desk: Desk) -> None:
    """Who cannot be reached at all, or by nothing that is an address, is not tried."""
    await reached(desk, email="not an address", phone=None)
    await desk.hears(facility())
    assert (await desk.states(), await desk.attempts()) == ([("suppressed", "no_address")], [])


async def test_receipts_prove_who_sends_them(desk: Desk) -> None:
    """A stranger's is refused; the gateway's about something else changes nothing, and neither does the same one again."""
    await reached(desk)
    [(reference,)] = await desk.rows("SELECT call_id FROM deliveries")
    genuine = {"Authorization": f"Bearer {SECRET}"}
    async with desk.work.client(at=None) as anybody:
        bounced = {"reference": str(reference), "status": "bounced"}
        assert (await anybody.post("/receipts", json=bounced)).status_code == 401
        for receipt in (bounced, {"reference": str(uuid4()), "status": "bounced"}):
            assert (await anybody.post("/receipts", json=receipt, headers=genuine)).status_code == 204
    assert await desk.states() == [("delivered", None)]
