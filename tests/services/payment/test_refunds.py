"""Giving money back."""

from __future__ import annotations

import asyncio
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select

from broker import Cause, caused_by
from broker._tables import outbox
from contracts.payment import RefundFailed, RefundSucceeded
from nilecare.simulator import CardSimulator
from services.payment import commands
from services.payment.errors import (
    AmountIsMoreThanCanBeRefunded,
    ProviderPaysThisRefund,
    RefundCannotBecome,
    RefundNeedsASecondPerson,
)
from services.payment.rules import RefundWord
from services.payment.tables import PaymentRefund
from tests.services.kit import Workplace
from tests.services.payment.given import (
    FACILITY,
    cash,
    colleague,
    initiated,
    paid_by_card,
    payment_of,
    recorded,
    refund_asked,
    usd,
)
from tests.waiting import until


async def refund_of(payment: Workplace, asked: PaymentRefund) -> PaymentRefund:
    async with payment.transaction() as session:
        return await PaymentRefund.seen(session, asked.refund_id)


async def hear_refund(payment: Workplace, asked: PaymentRefund, word: RefundWord) -> bool:
    async with payment.transaction() as session:
        return await commands.hear_refund(session, asked.refund_id, word)


@pytest.mark.parametrize("token", ["tok_visa", "tok_refund_pending", "tok_lost_answer", "tok_lost_answer_and_webhook"])
async def test_a_card_refund_goes_back_once(payment: Workplace, simulator: CardSimulator, token: str) -> None:
    """At once or later, whatever is lost on the way: never taken for failed, and never given twice."""
    paid = await initiated(payment, "100.00", token)

    async def is_paid() -> bool:
        return (await payment_of(payment, paid.payment_id)).status == "succeeded"

    await until(is_paid)
    asked = await refund_asked(payment, paid, "30.00")
    assert asked.status == "pending"

    async def is_back() -> bool:
        return (await refund_of(payment, asked)).status == "succeeded"

    await until(is_back)
    await simulator.webhooks.idle()
    [event] = await payment.published(RefundSucceeded)
    assert (event.refund_id, event.payment_id, event.amount) == (asked.refund_id, paid.payment_id, usd("30.00"))
    assert await payment.published(RefundFailed) == []
    [taken] = simulator.ledger.payments.values()
    assert str(taken.refunded) == "30.00"


async def test_what_a_webhook_says_of_a_refund_belongs_to_the_flow_that_asked_for_it(
    payment: Workplace, simulator: CardSimulator
) -> None:
    """Not to the one of the payment, which was over long ago."""
    paid = await initiated(payment, "100.00", "tok_refund_pending")

    async def is_paid() -> bool:
        return (await payment_of(payment, paid.payment_id)).status == "succeeded"

    await until(is_paid)
    own = uuid4()
    with caused_by(Cause(flow=own)):
        await refund_asked(payment, paid, "30.00")

    async def flows() -> set[UUID]:
        async with payment.transaction() as session:
            back = select(outbox.c.flow).where(outbox.c.type == RefundSucceeded.contract.name)
            return set(await session.scalars(back))

    assert await until(flows) == {own}


async def test_a_refund_may_be_refused(payment: Workplace, simulator: CardSimulator) -> None:
    """With the provider's code; the money is still ours to give back another way."""
    paid = await initiated(payment, "100.00", "tok_refund_declined")

    async def is_paid() -> bool:
        return (await payment_of(payment, paid.payment_id)).status == "succeeded"

    await until(is_paid)
    asked = await refund_asked(payment, paid, "100.00")

    async def is_refused() -> bool:
        return (await refund_of(payment, asked)).status == "failed"

    await until(is_refused)
    assert [event.reason for event in await payment.published(RefundFailed)] == ["card_account_closed"]
    await refund_asked(payment, paid, "100.00")


async def test_refunds_are_together_at_most_what_was_captured(payment: Workplace) -> None:
    """Also when two are asked for at once: what is pending counts, what failed does not."""
    paid = await paid_by_card(payment, "100.00")
    results = await asyncio.gather(*(refund_asked(payment, paid, "60.00") for _ in range(2)), return_exceptions=True)
    [asked] = [result for result in results if isinstance(result, PaymentRefund)]
    [refused] = [result for result in results if not isinstance(result, PaymentRefund)]
    assert isinstance(refused, AmountIsMoreThanCanBeRefunded)
    await refund_asked(payment, paid, "40.00")
    with pytest.raises(AmountIsMoreThanCanBeRefunded):
        await refund_asked(payment, paid, "0.01")
    await hear_refund(payment, asked, RefundWord(outcome="failed", provider_refund_id="ref_1", failure_code="closed"))
    await refund_asked(payment, paid, "60.00")


async def test_what_a_provider_says_of_a_refund_again_is_no_news(payment: Workplace) -> None:
    """Nor is an older word that comes late."""
    asked = await refund_asked(payment, await paid_by_card(payment, "100.00"), "10.00")
    said = RefundWord(outcome="succeeded", provider_refund_id="ref_1")
    assert await hear_refund(payment, asked, said)
    assert not await hear_refund(payment, asked, said)
    assert not await hear_refund(payment, asked, RefundWord(outcome="pending", provider_refund_id="ref_1"))
    assert len(await payment.published(RefundSucceeded)) == 1


async def test_cash_goes_back_by_a_second_hand(payment: Workplace) -> None:
    """Asked for by one, paid out by another, once."""
    paid = await recorded(payment, cash("25.00"))
    asked = await refund_asked(payment, paid, "25.00", by="first")
    assert asked.status == "requested"
    for by, rule in (("first", RefundNeedsASecondPerson), ("second", None), ("second", RefundCannotBecome)):
        if rule is None:
            async with payment.transaction() as session:
                assert (await commands.pay_refund_out(session, asked.refund_id, by)).status == "succeeded"
        else:
            with pytest.raises(rule):
                async with payment.transaction() as session:
                    await commands.pay_refund_out(session, asked.refund_id, by)
    assert [event.refund_id for event in await payment.published(RefundSucceeded)] == [asked.refund_id]


async def test_a_second_person_may_keep_the_cash(payment: Workplace) -> None:
    """Then it can be asked for again."""
    paid = await recorded(payment, cash("25.00"))
    asked = await refund_asked(payment, paid, "25.00", by="first")
    async with payment.transaction() as session:
        await commands.refuse_refund(session, asked.refund_id, "second")
    assert [event.reason for event in await payment.published(RefundFailed)] == ["refused"]
    await refund_asked(payment, paid, "25.00")


async def test_a_card_refund_is_paid_out_by_nobody(payment: Workplace) -> None:
    """Or the money would go back twice."""
    asked = await refund_asked(payment, await paid_by_card(payment, "100.00"), "10.00")
    with pytest.raises(ProviderPaysThisRefund):
        async with payment.transaction() as session:
            await commands.pay_refund_out(session, asked.refund_id, "second")


async def test_refunds_over_http(payment: Workplace) -> None:
    """A clerk asks, a manager pays out; a cashier sees it."""
    paid = await recorded(payment, cash("25.00"))
    asked = {"amount": {"amount": "5.00", "currency": "USD"}, "reason": "charged twice"}
    async with payment.client("billing_clerk", at=FACILITY) as clerk, colleague(payment, "billing_manager") as manager:
        begun = (await clerk.post(f"/payments/{paid.payment_id}/refunds", json=asked)).json()
        not_theirs = await clerk.post(f"/refunds/{begun['refund_id']}/pay-out")
        done = await manager.post(f"/refunds/{begun['refund_id']}/pay-out")
    async with payment.client("cashier", at=FACILITY) as cashier:
        listed = (await cashier.get("/refunds", params={"payment_id": str(paid.payment_id)})).json()["items"]
        not_asked_for = await cashier.post(f"/payments/{paid.payment_id}/refunds", json=asked)
    assert (begun["status"], not_theirs.status_code, not_asked_for.status_code) == ("requested", 403, 403)
    assert listed == [done.json()]
