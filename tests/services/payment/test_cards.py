"""Paying by card, against a provider that behaves and misbehaves."""

from __future__ import annotations

from uuid import UUID

import httpx
import pytest
from sqlalchemy import select

from broker._tables import call, outbox
from contracts.payment import PaymentAuthorized, PaymentCancelled, PaymentChanged, PaymentFailed, PaymentSucceeded
from nilecare.simulator import CardSimulator
from nilecare.simulator.ledger import event_of
from nilecare.simulator.webhooks import Webhooks
from services.payment.tables import Payment, PaymentWebhook
from tests.services.kit import Workplace
from tests.services.payment.given import SECRET, initiated, payment_of, usd
from tests.waiting import until

OVER = {"succeeded", "failed"}


async def over(payment: Workplace, simulator: CardSimulator, payment_id: UUID) -> Payment:
    """The payment when it is decided, no call is open, and every webhook was taken."""

    async def at_rest() -> Payment | None:
        found = await payment_of(payment, payment_id)
        async with payment.transaction() as session:
            open_calls = list(await session.scalars(select(call.c.name).where(call.c.state != "answered")))
        return found if found.status in OVER and not open_calls else None

    await until(at_rest)
    await simulator.webhooks.idle()
    return await payment_of(payment, payment_id)


async def webhooks(payment: Workplace) -> list[PaymentWebhook]:
    async with payment.transaction() as session:
        return list(await session.scalars(select(PaymentWebhook).order_by(PaymentWebhook.received_at)))


@pytest.mark.parametrize(
    "token",
    [
        "tok_visa",
        "tok_slow",
        "tok_lost_answer",
        "tok_lost_answer_and_webhook",
        "tok_duplicate_webhook",
        "tok_webhook_first",
        "tok_webhook_reversed",
    ],
)
async def test_a_card_payment_succeeds_once(payment: Workplace, simulator: CardSimulator, token: str) -> None:
    """However late, often, reversed or lost the provider's words are: captured once, and said once."""
    begun = await initiated(payment, "40.00", token)
    ended = await over(payment, simulator, begun.payment_id)
    assert ended.status == "succeeded"
    [succeeded] = await payment.published(PaymentSucceeded)
    assert (succeeded.payment_id, succeeded.amount, succeeded.method) == (begun.payment_id, usd("40.00"), "card")
    assert len(await payment.published(PaymentAuthorized)) <= 1
    assert await payment.published(PaymentFailed) == []
    [taken] = simulator.ledger.payments.values()
    assert (taken.status, taken.reference, str(taken.amount)) == ("captured", str(begun.payment_id), "40.00")


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        ("tok_declined", "card_declined"),
        ("tok_insufficient_funds", "insufficient_funds"),
        ("tok_capture_declined", "expired_card"),
    ],
)
async def test_a_declined_card_fails_the_payment(payment: Workplace, simulator: CardSimulator, token: str, reason: str) -> None:
    """With the provider's code, said once; the invoice can be paid by another card."""
    begun = await initiated(payment, "100.00", token)
    ended = await over(payment, simulator, begun.payment_id)
    assert (ended.status, ended.decline_code) == ("failed", reason)
    assert [event.reason for event in await payment.published(PaymentFailed)] == [reason]
    assert await payment.published(PaymentSucceeded) == []
    again = await initiated(payment, "100.00", "tok_visa")
    assert (await over(payment, simulator, again.payment_id)).status == "succeeded"


async def test_a_webhook_that_comes_twice_has_one_effect(payment: Workplace, simulator: CardSimulator) -> None:
    """One row for each of the provider's events, and one state for each change."""
    begun = await initiated(payment, "40.00", "tok_duplicate_webhook")
    await over(payment, simulator, begun.payment_id)
    taken = await webhooks(payment)
    assert sorted(webhook.type for webhook in taken) == ["payment.authorised", "payment.captured"]
    assert {webhook.status for webhook in taken} <= {"applied", "ignored"}
    states = [state.status for state in await payment.published(PaymentChanged)]
    assert states == list(dict.fromkeys(states))


async def test_a_lost_answer_is_never_taken_for_a_failure(payment: Workplace, simulator: CardSimulator) -> None:
    """Without answer and webhook the payment is pending until the provider was asked; then it is what it is."""
    begun = await initiated(payment, "40.00", "tok_lost_answer_and_webhook")
    await over(payment, simulator, begun.payment_id)
    states = [state.status for state in await payment.published(PaymentChanged)]
    assert states == ["processing", "requires_capture", "succeeded"]
    assert await webhooks(payment) == []


async def test_a_webhook_may_come_before_the_answer(payment: Workplace, simulator: CardSimulator) -> None:
    """It is applied; the answer is no news any more."""
    begun = await initiated(payment, "40.00", "tok_webhook_first")
    await over(payment, simulator, begun.payment_id)
    assert [webhook.status for webhook in await webhooks(payment)] == ["applied", "applied"]


async def test_what_a_webhook_changes_belongs_to_the_flow_that_began_the_payment(
    payment: Workplace, simulator: CardSimulator
) -> None:
    """From the first event to the last it is one flow, whoever brought the news."""
    begun = await initiated(payment, "40.00", "tok_webhook_first")
    await over(payment, simulator, begun.payment_id)
    of_payment = select(outbox.c.flow).where(outbox.c.key == str(begun.payment_id))
    async with payment.transaction() as session:
        assert set(await session.scalars(of_payment)) == {begun.flow}


async def test_an_old_word_that_comes_late_changes_nothing(payment: Workplace, simulator: CardSimulator) -> None:
    """The authorisation's webhook comes after the capture's, and is ignored."""
    begun = await initiated(payment, "40.00", "tok_webhook_reversed")
    ended = await over(payment, simulator, begun.payment_id)
    assert ended.status == "succeeded"
    assert [(webhook.type, webhook.status) for webhook in await webhooks(payment)][-1] == (
        "payment.authorised",
        "ignored",
    )


async def test_a_webhook_is_sent_until_it_is_taken(payment: Workplace, simulator: CardSimulator) -> None:
    """An address that refuses it is tried again; a type that we do not know is taken, and ignored."""
    begun = await initiated(payment, "40.00", "tok_visa")
    await over(payment, simulator, begun.payment_id)
    [taken] = simulator.ledger.payments.values()
    event = event_of(taken) | {"id": "evt_of_a_type_that_nobody_knows", "type": "payment.dispute_won"}
    assert simulator.webhooks.url is not None
    elsewhere = Webhooks(simulator.webhooks.url + "/nowhere", SECRET)
    task = elsewhere.send(event)

    async def refused() -> bool:
        return elsewhere.attempts > 1

    await until(refused)
    elsewhere.url = simulator.webhooks.url
    await task
    await elsewhere.close()
    assert [webhook.status for webhook in await webhooks(payment) if webhook.type == "payment.dispute_won"] == ["ignored"]


async def test_a_genuine_webhook_about_a_stranger_is_ignored(payment: Workplace, simulator: CardSimulator) -> None:
    """Another merchant's payment, say: taken, so that it is not sent for ever, and without effect."""
    stranger = {"id": "pay_x", "reference": "6f2c5d1e-9a40-4c7e-8f6b-0d3b1f3a2c11", "status": "captured"}
    await simulator.webhooks.send({"id": "evt_x", "type": "payment.captured", "data": stranger})
    [webhook] = await webhooks(payment)
    assert (webhook.provider_event_id, webhook.status) == ("evt_x", "ignored")
    assert await payment.published(PaymentSucceeded) == []


@pytest.mark.parametrize("signature", [None, "t=1,v1=00", "nonsense"])
async def test_a_webhook_without_a_true_signature_leaves_no_trace(
    payment: Workplace, simulator: CardSimulator, signature: str | None
) -> None:
    """A 400 problem; nothing is stored, nothing changes."""
    begun = await initiated(payment, "40.00")
    body = {
        "id": "evt_1",
        "type": "payment.captured",
        "data": {"id": "p", "reference": str(begun.payment_id), "status": "captured"},
    }
    assert simulator.webhooks.url is not None
    async with httpx.AsyncClient() as anybody:
        headers = {"Card-Signature": signature} if signature else {}
        reply = await anybody.post(simulator.webhooks.url, json=body, headers=headers)
    assert (reply.status_code, reply.headers["content-type"]) == (400, "application/problem+json")
    assert await webhooks(payment) == []
    assert (await payment_of(payment, begun.payment_id)).status == "requires_method"
    assert await payment.published(PaymentCancelled) == []
