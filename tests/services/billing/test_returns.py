"""Money that goes back to the payer, and money that its payer disputes."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from sqlalchemy import func, select

from broker import Later, clock
from contracts.billing import InvoiceDue, InvoiceOverdue, InvoicePaid, InvoiceReopened
from services.billing import commands
from services.billing.errors import DisputeCannotBecome, MoreWasReturnedThanReceived
from services.billing.tables import Credit, Invoice, InvoicePaymentAllocation, Receipt
from tests.services.billing.given import (
    OTHER_PATIENT,
    PATIENT,
    disputed,
    invoice_of,
    invoiced,
    merged,
    paid,
    patient,
    refunded,
    scheduled,
    usd,
)
from tests.services.kit import Workplace

LONG_AGO = date(2026, 1, 1)


async def settled(billing: Workplace) -> tuple[Decimal | None, Decimal | None]:
    """What stands in allocations, and what is left of credits."""
    async with billing.transaction() as session:
        allocated = await session.scalar(select(func.sum(InvoicePaymentAllocation.amount)))
        return allocated, await session.scalar(select(func.sum(Credit.amount - Credit.used_amount)))


async def test_a_refund_opens_the_invoice_again(billing: Workplace) -> None:
    """Its newest allocation is reversed first, its balance is back, and its due date counts again."""
    invoice = await invoiced(billing, "10.00", "5.00")
    payment = paid("15.00", invoice_id=invoice.invoice_id)
    await billing.deliver(payment)
    assert await scheduled(billing) == {}
    await billing.deliver(refunded(payment, "6.00"))
    opened = await invoice_of(billing, invoice.invoice_id)
    assert (opened.status, opened.balance, opened.paid_at) == ("partially_paid", usd("6.00"), None)
    assert [line.balance for line in opened.lines] == [usd("1.00"), usd("5.00")]
    [event] = await billing.published(InvoiceReopened)
    assert (event.reason, event.balance, event.payment_id) == ("refund", usd("6.00"), payment.payment_id)
    assert list(await scheduled(billing)) == [f"invoice {invoice.invoice_id} due"]
    await billing.deliver(paid("6.00", invoice_id=invoice.invoice_id))
    assert (await invoice_of(billing, invoice.invoice_id)).status == "paid"
    assert len(await billing.published(InvoicePaid)) == 2


async def test_a_refund_of_everything_leaves_the_invoice_as_issued(billing: Workplace) -> None:
    """Nothing is paid on it any more; one that was only partly paid was never closed, and is not reopened."""
    invoice = await invoiced(billing, "10.00")
    payment = paid("4.00", invoice_id=invoice.invoice_id)
    await billing.deliver(payment)
    await billing.deliver(refunded(payment, "4.00"))
    opened = await invoice_of(billing, invoice.invoice_id)
    assert (opened.status, opened.balance) == ("issued", usd("10.00"))
    assert await billing.published(InvoiceReopened) == []


async def test_a_refund_after_the_due_date_makes_the_invoice_overdue(billing: Workplace) -> None:
    """At once, and others are told; next, it is looked at for collections."""
    invoice = await invoiced(billing, "10.00", due_on=LONG_AGO)
    payment = paid("10.00", invoice_id=invoice.invoice_id)
    await billing.deliver(payment)
    await billing.deliver(refunded(payment, "1.00"))
    assert (await invoice_of(billing, invoice.invoice_id)).status == "overdue"
    assert [event.balance for event in await billing.published(InvoiceOverdue)] == [usd("1.00")]
    assert await scheduled(billing) == {f"invoice {invoice.invoice_id} due": datetime(2026, 5, 2, tzinfo=UTC)}


async def test_a_refund_takes_the_credit_first(billing: Workplace) -> None:
    """What settled nothing goes back before what settled something."""
    invoice = await invoiced(billing, "10.00")
    payment = paid("13.00", invoice_id=invoice.invoice_id)
    await billing.deliver(payment)
    await billing.deliver(refunded(payment, "2.00"))
    assert await settled(billing) == (Decimal("10.00"), Decimal("1.00"))
    await billing.deliver(refunded(payment, "2.00"))
    assert await settled(billing) == (Decimal("9.00"), Decimal("0.00"))
    assert (await invoice_of(billing, invoice.invoice_id)).balance == usd("1.00")


async def test_the_newest_allocation_is_reversed_first(billing: Workplace) -> None:
    """Money on account that settled two invoices leaves the one that it came to last."""
    first, second = await invoiced(billing, "10.00", due_on=LONG_AGO), await invoiced(billing, "10.00")
    payment = paid("20.00")
    await billing.deliver(payment)
    await billing.deliver(refunded(payment, "12.00"))
    balances = [(await invoice_of(billing, each.invoice_id)).balance for each in (first, second)]
    assert balances == [usd("2.00"), usd("10.00")]


async def test_a_refund_takes_effect_once(billing: Workplace) -> None:
    """However often we are told, under whatever message."""
    invoice = await invoiced(billing, "10.00")
    payment = paid("10.00", invoice_id=invoice.invoice_id)
    await billing.deliver(payment)
    refund = refunded(payment, "3.00")
    await billing.deliver(refund)
    await billing.deliver(refund)
    assert (await invoice_of(billing, invoice.invoice_id)).balance == usd("3.00")


async def test_a_refund_waits_for_its_payment(billing: Workplace) -> None:
    """Told before the payment, it is tried again later, and then takes effect."""
    invoice = await invoiced(billing, "10.00")
    payment = paid("10.00", invoice_id=invoice.invoice_id)
    refund = refunded(payment, "3.00")
    with pytest.raises(Later):
        await billing.deliver(refund)
    await billing.deliver(payment)
    await billing.deliver(refund)
    assert (await invoice_of(billing, invoice.invoice_id)).balance == usd("3.00")


async def test_no_more_goes_back_than_came(billing: Workplace) -> None:
    """A cent more is for a person to look at; nothing is booked."""
    invoice = await invoiced(billing, "10.00")
    payment = paid("10.00", invoice_id=invoice.invoice_id)
    await billing.deliver(payment)
    with pytest.raises(MoreWasReturnedThanReceived):
        await billing.deliver(refunded(payment, "10.01"))
    assert await settled(billing) == (Decimal("10.00"), None)


async def test_a_refund_of_a_merged_patient_is_owed_by_the_other(billing: Workplace) -> None:
    """A settled invoice stayed with the merged patient; opened again, it belongs to whom they are now."""
    await billing.deliver(patient(OTHER_PATIENT))
    invoice = await invoiced(billing, "10.00")
    payment = paid("10.00", invoice_id=invoice.invoice_id)
    await billing.deliver(payment)
    await billing.deliver(merged(PATIENT, OTHER_PATIENT))
    await billing.deliver(refunded(payment, "10.00"))
    assert (await invoice_of(billing, invoice.invoice_id)).patient_id == OTHER_PATIENT
    assert [event.patient_id for event in await billing.published(InvoiceReopened)] == [OTHER_PATIENT]


async def test_a_written_off_invoice_opens_by_what_went_back(billing: Workplace) -> None:
    """What was given up stays given up."""
    invoice = await invoiced(billing, "10.00")
    payment = paid("6.00", invoice_id=invoice.invoice_id)
    await billing.deliver(payment)
    async with billing.transaction() as session:
        await commands.write_off(session, invoice.invoice_id, reason="lost", requested_by="clerk")
    await billing.deliver(refunded(payment, "6.00"))
    opened = await invoice_of(billing, invoice.invoice_id)
    assert (opened.status, opened.balance, opened.adjusted) == ("issued", usd("6.00"), usd("4.00"))


async def test_a_disputed_amount_is_on_hold(billing: Workplace) -> None:
    """What is paid stays paid meanwhile, but the invoice does not fall overdue; won, its due date counts again."""
    invoice = await invoiced(billing, "10.00", due_on=LONG_AGO)
    payment = paid("4.00", invoice_id=invoice.invoice_id)
    await billing.deliver(payment)
    opened, won, _ = disputed(payment, "4.00")
    await billing.deliver(opened)
    await billing.deliver(InvoiceDue(invoice_id=invoice.invoice_id))
    held = await invoice_of(billing, invoice.invoice_id)
    assert (held.status, held.on_hold, held.balance) == ("partially_paid", usd("4.00"), usd("6.00"))
    async with billing.transaction() as session:
        await commands.look_at_due_invoice(session, invoice.invoice_id)
    await billing.deliver(won)
    released = await invoice_of(billing, invoice.invoice_id)
    assert (released.status, released.is_held) == ("partially_paid", False)
    assert (await scheduled(billing))[f"invoice {invoice.invoice_id} due"] < clock.now()
    await billing.deliver(InvoiceDue(invoice_id=invoice.invoice_id))
    assert (await invoice_of(billing, invoice.invoice_id)).status == "overdue"


async def test_a_lost_dispute_restores_the_balance(billing: Workplace) -> None:
    """The hold is gone, the allocation is reversed, and the invoice is open again."""
    invoice = await invoiced(billing, "10.00")
    payment = paid("10.00", invoice_id=invoice.invoice_id)
    await billing.deliver(payment)
    opened, _, lost = disputed(payment, "10.00")
    await billing.deliver(opened)
    assert (await invoice_of(billing, invoice.invoice_id)).status == "paid"
    await billing.deliver(lost)
    after = await invoice_of(billing, invoice.invoice_id)
    assert (after.status, after.balance, after.on_hold) == ("issued", usd("10.00"), usd("0.00"))
    assert [event.reason for event in await billing.published(InvoiceReopened)] == ["dispute_lost"]


@pytest.mark.parametrize("order", ["opened lost lost", "lost opened lost", "opened opened lost", "lost opened opened"])
async def test_the_steps_of_a_dispute_come_in_any_order_and_number(billing: Workplace, order: str) -> None:
    """The end is the same: nothing held, everything owed again, once."""
    invoice = await invoiced(billing, "10.00")
    payment = paid("10.00", invoice_id=invoice.invoice_id)
    await billing.deliver(payment)
    opened, _, lost = disputed(payment, "7.00")
    for step in order.split():
        await billing.deliver({"opened": opened, "lost": lost}[step])
    after = await invoice_of(billing, invoice.invoice_id)
    assert (after.balance, after.is_held) == (usd("7.00"), False)
    assert len(await billing.published(InvoiceReopened)) == 1


async def test_a_dispute_is_not_both_won_and_lost(billing: Workplace) -> None:
    """The second decision is for a person to look at."""
    invoice = await invoiced(billing, "10.00")
    payment = paid("10.00", invoice_id=invoice.invoice_id)
    await billing.deliver(payment)
    _, won, lost = disputed(payment, "7.00")
    await billing.deliver(won)
    with pytest.raises(DisputeCannotBecome):
        await billing.deliver(lost)
    assert (await invoice_of(billing, invoice.invoice_id)).status == "paid"


async def test_a_refund_then_a_lost_dispute_over_the_rest(billing: Workplace) -> None:
    """Receipts say how much went back in all."""
    invoice = await invoiced(billing, "10.00")
    payment = paid("10.00", invoice_id=invoice.invoice_id)
    await billing.deliver(payment)
    await billing.deliver(refunded(payment, "4.00"))
    await billing.deliver(disputed(payment, "6.00")[2])
    async with billing.transaction() as session:
        assert await session.scalar(select(Receipt.returned_amount)) == Decimal("10.00")
        assert await session.scalar(select(Invoice.allocated_amount)) == 0


@pytest.mark.parametrize("how", ["refund", "dispute"])
async def test_money_goes_back_once_when_a_credit_note_frees_it_at_the_same_time(billing: Workplace, how: str) -> None:
    """What the note has made a credit goes back as that; only the rest is reversed."""
    invoice = await invoiced(billing, "10.00")
    payment = paid("10.00", invoice_id=invoice.invoice_id)
    await billing.deliver(payment)
    back = refunded(payment, "10.00") if how == "refund" else disputed(payment, "10.00")[2]
    async with billing.transaction() as session:
        await Invoice.locked(session, invoice.invoice_id)
        returned = asyncio.create_task(billing.deliver(back))
        await billing.somebody_waits()
        await commands.issue_credit_note(session, invoice.invoice_id, usd("4.00"), reason="wrong", by="manager")
    await returned
    assert await settled(billing) == (Decimal("0.00"), Decimal("0.00"))
    after = await invoice_of(billing, invoice.invoice_id)
    assert (after.allocated, after.balance) == (usd("0.00"), usd("6.00"))


async def test_a_dispute_holds_only_what_a_credit_note_leaves(billing: Workplace) -> None:
    """What the note has made a credit at the same time settles nothing any more, and is at stake first."""
    invoice = await invoiced(billing, "10.00")
    payment = paid("10.00", invoice_id=invoice.invoice_id)
    await billing.deliver(payment)
    async with billing.transaction() as session:
        await Invoice.locked(session, invoice.invoice_id)
        opened = asyncio.create_task(billing.deliver(disputed(payment, "10.00")[0]))
        await billing.somebody_waits()
        await commands.issue_credit_note(session, invoice.invoice_id, usd("4.00"), reason="wrong", by="manager")
    await opened
    assert (await invoice_of(billing, invoice.invoice_id)).on_hold == usd("6.00")
