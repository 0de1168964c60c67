"""Payers who tell their bank that they did not mean to pay."""

from __future__ import annotations

from datetime import timedelta
from itertools import permutations
from uuid import UUID

import pytest
from sqlalchemy import select

from broker import clock
from contracts.payment import DisputeLost, DisputeOpened, DisputeWon
from nilecare.simulator import CardSimulator
from services.payment import commands
from services.payment.errors import AmountIsMoreThanCanBeRefunded, EvidenceWasSentAlready
from services.payment.rules import DisputeOutcome, DisputeWord
from services.payment.tables import Payment, PaymentDispute
from tests.services.kit import Workplace
from tests.services.payment.given import FACILITY, initiated, paid_by_card, refund_asked, usd
from tests.waiting import until


def word(outcome: DisputeOutcome, amount: str = "100.00") -> DisputeWord:
    return DisputeWord(
        outcome=outcome,
        provider_dispute_id="dis_1",
        amount=usd(amount),
        reason="fraudulent",
        evidence_due_at=clock.now() + timedelta(days=7),
    )


async def heard(payment: Workplace, paid: Payment, *outcomes: DisputeOutcome, amount: str = "100.00") -> list[bool]:
    """Whether each of these was news."""
    news = []
    for outcome in outcomes:
        async with payment.transaction() as session:
            news.append(await commands.hear_dispute(session, paid.payment_id, word(outcome, amount)))
    return news


async def dispute_of(payment: Workplace, payment_id: UUID) -> PaymentDispute | None:
    async with payment.transaction() as session:
        return await session.scalar(select(PaymentDispute).where(PaymentDispute.payment_id == payment_id))


async def sent(payment: Workplace, dispute_id: UUID, text: str) -> PaymentDispute:
    async with payment.transaction() as session:
        return await commands.submit_evidence(session, dispute_id, text, "clerk")


async def decided(payment: Workplace, paid: Payment, status: str) -> PaymentDispute:
    """The dispute of a payment, once it is in this state."""

    async def is_so() -> bool:
        found = await dispute_of(payment, paid.payment_id)
        return found is not None and found.status == status

    await until(is_so)
    found = await dispute_of(payment, paid.payment_id)
    assert found is not None
    return found


async def test_whatever_comes_first_a_dispute_was_opened_once_and_decided_once(payment: Workplace) -> None:
    """In every order, and twice: others hear that it was opened before they hear how it ended, and each of it once."""
    for number, order in enumerate(permutations(("opened", "under_review", "won"))):
        paid = await paid_by_card(payment, "1.00", provider_payment_id=f"pay_{number}")
        async with payment.transaction() as session:
            for outcome in (*order, *order):
                said = word(outcome, "1.00").model_copy(update={"provider_dispute_id": f"dis_{number}"})  # type: ignore[arg-type]
                await commands.hear_dispute(session, paid.payment_id, said)
        found = await dispute_of(payment, paid.payment_id)
        assert found is not None
        assert found.status == "won"
    assert len(await payment.published(DisputeOpened)) == len(await payment.published(DisputeWon)) == 6


async def test_what_is_decided_stays_decided(payment: Workplace) -> None:
    """The other verdict is no news any more."""
    paid = await paid_by_card(payment, "100.00")
    assert await heard(payment, paid, "opened", "lost", "won", "opened") == [True, True, False, False]
    assert await payment.published(DisputeWon) == []
    [lost] = await payment.published(DisputeLost)
    assert (lost.payment_id, lost.amount) == (paid.payment_id, usd("100.00"))


async def test_disputed_money_is_not_refunded(payment: Workplace) -> None:
    """Or the payer had it twice; when we have won, it can go back."""
    paid = await paid_by_card(payment, "100.00")
    await heard(payment, paid, "opened", amount="70.00")
    with pytest.raises(AmountIsMoreThanCanBeRefunded):
        await refund_asked(payment, paid, "30.01")
    await heard(payment, paid, "won", amount="70.00")
    await refund_asked(payment, paid, "100.00")


@pytest.mark.parametrize(
    ("text", "status", "event"), [("winning_evidence", "won", DisputeWon), ("losing_evidence", "lost", DisputeLost)]
)
async def test_a_dispute_is_answered(
    payment: Workplace, simulator: CardSimulator, text: str, status: str, event: type[DisputeWon | DisputeLost]
) -> None:
    """It is opened by the provider's word, our evidence goes there once, and the bank decides."""
    paid = await initiated(payment, "100.00", "tok_dispute")
    opened = await decided(payment, paid, "open")
    assert (await sent(payment, opened.dispute_id, text)).evidence_by == "clerk"
    ended = await decided(payment, paid, status)
    assert ended.decided_at is not None
    with pytest.raises(EvidenceWasSentAlready):
        await sent(payment, opened.dispute_id, text)
    assert [told.dispute_id for told in await payment.published(event)] == [opened.dispute_id]
    [taken] = simulator.ledger.disputes.values()
    assert taken.evidence == [text]


async def test_a_dispute_may_be_lost_before_it_was_opened(payment: Workplace, simulator: CardSimulator) -> None:
    """As far as webhooks tell: the story is the same."""
    paid = await initiated(payment, "100.00", "tok_dispute_reversed")
    await decided(payment, paid, "lost")
    await simulator.webhooks.idle()
    assert len(await payment.published(DisputeOpened)) == len(await payment.published(DisputeLost)) == 1


async def test_disputes_over_http(payment: Workplace) -> None:
    """A clerk sends evidence, once for one key; a cashier only sees it."""
    paid = await paid_by_card(payment, "100.00")
    await heard(payment, paid, "opened")
    async with payment.client("billing_clerk", at=FACILITY) as clerk:
        [listed] = (await clerk.get("/disputes", params={"status": "open"})).json()["items"]
        path, key = f"/disputes/{listed['dispute_id']}/evidence", {"Idempotency-Key": "1"}
        first, again = [await clerk.post(path, json={"text": "signed receipt"}, headers=key) for _ in range(2)]
    async with payment.client("cashier", at=FACILITY) as cashier:
        shown = (await cashier.get(f"/disputes/{listed['dispute_id']}")).json()
        not_theirs = await cashier.post(path, json={"text": "signed receipt"})
    assert (first.status_code, not_theirs.status_code) == (200, 403)
    assert first.json() == again.json() == shown
    assert shown["evidence_by"] == "tester"
