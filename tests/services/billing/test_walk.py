"""Whatever is paid, refunded, disputed, adjusted and taken back, in whatever order: the books add up to the cent."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from random import Random
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, text

from broker import RuleBroken, clock
from contracts.payment import DisputeLost, DisputeOpened, DisputeWon, PaymentSucceeded
from services.billing import commands
from services.billing.tables import Credit
from tests.services.billing.given import FACILITY, disputed, invoiced, paid, refunded, usd
from tests.services.kit import Workplace

STEPS = 60

BROKEN = """
    SELECT 'invoice and its lines' AS what FROM invoices JOIN invoice_line_items lines USING (invoice_id) GROUP BY invoice_id
    HAVING invoices.total_amount <> sum(lines.amount) OR invoices.allocated_amount <> sum(lines.allocated_amount)
        OR invoices.adjusted_amount <> sum(lines.adjusted_amount)
    UNION ALL
    SELECT 'line and its allocations' FROM invoice_line_items lines
    WHERE allocated_amount <> (SELECT coalesce(sum(amount), 0) FROM invoice_payment_allocations WHERE line_id = lines.line_id)
    UNION ALL
    SELECT 'invoice and its adjustments' FROM invoices
    WHERE adjusted_amount <> (SELECT coalesce(sum(amount), 0) FROM billing_adjustments WHERE invoice_id = invoices.invoice_id)
    UNION ALL
    SELECT 'receipt and what became of it' FROM receipts
    WHERE amount <> returned_amount
        + (SELECT coalesce(sum(amount), 0) FROM invoice_payment_allocations WHERE receipt_id = receipts.receipt_id)
        + (SELECT coalesce(sum(amount - used_amount), 0) FROM credits WHERE receipt_id = receipts.receipt_id)
    UNION ALL
    SELECT 'receipt and its returns' FROM receipts
    WHERE returned_amount <> (SELECT coalesce(sum(amount), 0) FROM payment_returns WHERE payment_id = receipts.payment_id)
    UNION ALL
    SELECT 'invoice and its holds' FROM invoices
    WHERE held_amount <> (SELECT coalesce(sum(amount), 0) FROM invoice_holds WHERE invoice_id = invoices.invoice_id)
    UNION ALL
    SELECT 'state and balance' FROM invoices WHERE status <> 'void'
        AND (status IN ('paid', 'written_off')) <> (allocated_amount + adjusted_amount = total_amount)
"""


class Walk:
    """A clerk, a payer and a bank who do anything at any time."""

    def __init__(self, billing: Workplace, seed: int) -> None:
        self.billing, self.random = billing, Random(seed)
        self.invoices: list[UUID] = []
        self.payments: list[PaymentSucceeded] = []
        self.disputes: list[DisputeOpened | DisputeWon | DisputeLost] = []
        self.steps: list[Callable[[], Awaitable[object]]] = [
            self.invoice,
            self.pay,
            self.pay,
            self.pay_on_account,
            self.refund,
            self.dispute,
            self.hear_of_a_dispute,
            self.hear_of_a_dispute,
            self.adjust,
            self.take_back,
            self.write_off,
            self.redeem,
            self.void,
            self.apply_a_credit,
        ]

    async def begin(self) -> None:
        """Some invoices and a coupon."""
        for _ in range(3):
            await self.invoice()
        today = clock.now().date()
        async with self.billing.transaction() as session:
            terms: dict[str, Any] = {"stacking": "stackable", "percent": usd("7.50").amount, "most_redemptions": 9}
            await commands.make_coupon(session, facility_id=FACILITY, code="C", valid_from=today, valid_to=today, **terms)

    async def step(self) -> None:
        """Does something; a rule may refuse it."""
        try:
            await self.random.choice(self.steps)()
        except RuleBroken:
            return

    async def wrong(self) -> list[str]:
        """What does not add up."""
        async with self.billing.transaction() as session:
            return list(await session.scalars(text(BROKEN)))

    def some(self) -> str:
        return str(self.random.randint(1, 1500) / 100)

    def any_invoice(self) -> UUID:
        return self.random.choice(self.invoices)

    async def invoice(self) -> None:
        amounts = self.random.choice([("33.33", "66.67", "0.00"), ("0.01", "9.99"), ("50.00", "0.03", "7.77")])
        self.invoices.append((await invoiced(self.billing, *amounts)).invoice_id)

    async def pay(self) -> None:
        payment = paid(self.some(), invoice_id=self.any_invoice())
        await self.billing.deliver(payment)
        self.payments.append(payment)

    async def pay_on_account(self) -> None:
        payment = paid(self.some())
        await self.billing.deliver(payment)
        self.payments.append(payment)

    async def refund(self) -> None:
        if self.payments:
            await self.billing.deliver(refunded(self.random.choice(self.payments), self.some()))

    async def dispute(self) -> None:
        if self.payments:
            payment = self.random.choice(self.payments)
            self.disputes += disputed(payment, str(payment.amount.amount))

    async def hear_of_a_dispute(self) -> None:
        if self.disputes:
            await self.billing.deliver(self.random.choice(self.disputes))

    async def adjust(self) -> None:
        async with self.billing.transaction() as session:
            amount = usd(self.some())
            await commands.post_adjustment(session, self.any_invoice(), amount, reason="because", posted_by="clerk")

    async def take_back(self) -> None:
        async with self.billing.transaction() as session:
            await commands.issue_credit_note(session, self.any_invoice(), usd(self.some()), reason="wrong", by="clerk")

    async def write_off(self) -> None:
        async with self.billing.transaction() as session:
            await commands.write_off(session, self.any_invoice(), reason="lost", requested_by="clerk")

    async def redeem(self) -> None:
        async with self.billing.transaction() as session:
            await commands.redeem_coupon(session, self.any_invoice(), "C", by="clerk")

    async def void(self) -> None:
        async with self.billing.transaction() as session:
            await commands.void_invoice(session, self.any_invoice(), "wrong", by="clerk")

    async def apply_a_credit(self) -> None:
        async with self.billing.transaction() as session:
            credit_id = await session.scalar(select(Credit.credit_id).where(Credit.used_amount < Credit.amount).limit(1))
            if credit_id is not None:
                await commands.apply_credit(session, credit_id, self.any_invoice(), None, by="clerk")


@pytest.mark.parametrize("seed", range(4))
async def test_the_books_add_up_after_every_step(billing: Workplace, seed: int) -> None:
    """Lines, allocations, adjustments, credits, returns and holds agree with each other, and with the states."""
    walk = Walk(billing, seed)
    await walk.begin()
    for _ in range(STEPS):
        await walk.step()
        assert await walk.wrong() == []
