"""Money that goes back: refunds, and disputes from when they are opened until they are decided."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import tzinfo
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from broker import clock, publish
from contracts.billing import InvoiceOverdue, InvoiceReopened
from contracts.money import Money
from contracts.payment import DisputeLost, DisputeOpened, DisputeWon, RefundSucceeded
from services.billing import rules
from services.billing.commands.accounts import account_of
from services.billing.commands.collections import expect_payment
from services.billing.commands.days import zone_of
from services.billing.errors import MoreWasReturnedThanReceived
from services.billing.tables import (
    BillingAccount,
    Credit,
    Dispute,
    Invoice,
    InvoiceHold,
    InvoicePaymentAllocation,
    PaymentReturn,
    Receipt,
    ReturnReason,
)

Parts = Sequence[tuple[InvoicePaymentAllocation, Money]]


async def take_refund(session: AsyncSession, refund: RefundSucceeded, source_event_id: UUID) -> None:
    """Takes out of the books what went back to the payer, once. Raises Later, MoreWasReturnedThanReceived."""
    await _give_back(session, refund.refund_id, refund.payment_id, refund.amount, "refund", source_event_id)


async def hold_what_is_disputed(session: AsyncSession, dispute: DisputeOpened) -> None:
    """Puts on hold what the disputed money settled: what would be taken back first if the dispute were lost.

    Raises Later while the payment has not arrived.
    """
    receipt = await _receipt_alone(session, dispute.payment_id)
    if not await Dispute.told(session, dispute, "opened"):
        return
    unused = Money.total((credit.left for credit in await Credit.of_receipt(session, receipt.receipt_id)), receipt.currency)
    settled = dispute.amount - min(dispute.amount, unused)
    parts = rules.take_back(settled, await InvoicePaymentAllocation.of_receipt(session, receipt.receipt_id))
    for invoice, of_invoice in await _by_invoice(session, parts):
        held = Money.total(part for _, part in of_invoice).amount
        session.add(InvoiceHold(dispute_id=dispute.dispute_id, invoice_id=invoice.invoice_id, amount=held))
        invoice.held_amount += held


async def win_dispute(session: AsyncSession, dispute: DisputeWon) -> None:
    """The money stays ours: what was on hold goes on as before. Raises DisputeCannotBecome."""
    if await Dispute.told(session, dispute, "won"):
        for invoice in await _release_holds(session, dispute.dispute_id):
            if invoice.status in rules.PAYABLE and not invoice.is_held:
                await expect_payment(session, invoice)


async def lose_dispute(session: AsyncSession, dispute: DisputeLost, source_event_id: UUID) -> None:
    """The money is the payer's again: what it had settled is owed again.

    Raises Later, DisputeCannotBecome, MoreWasReturnedThanReceived.
    """
    await _receipt_alone(session, dispute.payment_id)
    if await Dispute.told(session, dispute, "lost"):
        await _release_holds(session, dispute.dispute_id)
        await _give_back(session, dispute.dispute_id, dispute.payment_id, dispute.amount, "dispute_lost", source_event_id)


async def _give_back(
    session: AsyncSession, return_id: UUID, payment_id: UUID, amount: Money, reason: ReturnReason, source_event_id: UUID
) -> None:
    """A credit goes first, then the newest allocations are reversed."""
    receipt = await _receipt_alone(session, payment_id)
    if not await PaymentReturn.noted(session, return_id, payment_id, amount, reason):
        return
    left = amount
    for credit in await Credit.of_receipt(session, receipt.receipt_id):
        left -= credit.use(left)
    parts = rules.take_back(left, await InvoicePaymentAllocation.of_receipt(session, receipt.receipt_id))
    if Money.total((part for _, part in parts), left.currency) != left:
        raise MoreWasReturnedThanReceived(payment_id=payment_id)
    receipt.returned_amount += amount.amount
    for invoice, of_invoice in await _by_invoice(session, parts):
        zone = await zone_of(session, invoice.facility_id)
        for allocation, part in of_invoice:
            invoice.release(allocation.line_id, part)
            session.add(allocation.reversal(part, source_event_id))
        await _reopen(session, invoice, payment_id, reason, zone)


async def _receipt_alone(session: AsyncSession, payment_id: UUID) -> Receipt:
    """The receipt, with what is left of it and what it settled locked, and the accounts that these belong to held.

    Nobody moves any of it meanwhile. Raises Later.

    Only what is read after this is sure to hold: whoever lowers an invoice turns what settled it into credit under the
    invoice's lock alone.
    """
    receipt = await Receipt.of_payment(session, payment_id)
    await BillingAccount.all_held(session, await _whose(session, receipt.receipt_id))
    await Credit.of_receipt(session, receipt.receipt_id)
    settled = {allocation.invoice_id for allocation in await InvoicePaymentAllocation.of_receipt(session, receipt.receipt_id)}
    await Invoice.all_locked(session, Invoice.invoice_id.in_(settled))
    return receipt


async def _whose(session: AsyncSession, receipt_id: UUID) -> Sequence[UUID]:
    """For whom it was recorded what a receipt settled, or what is left of it."""
    credited = select(Credit.recorded_for).where(Credit.receipt_id == receipt_id)
    settled = select(InvoicePaymentAllocation.invoice_id).where(InvoicePaymentAllocation.receipt_id == receipt_id)
    paid = select(Invoice.recorded_for).where(Invoice.invoice_id.in_(settled))
    return (await session.scalars(credited.union(paid))).all()


async def _reopen(session: AsyncSession, invoice: Invoice, payment_id: UUID, reason: ReturnReason, zone: tzinfo) -> None:
    was = invoice.status
    invoice.status = rules.status_after_reversal(invoice, clock.now(), zone)
    if was in rules.SETTLED:
        invoice.patient_id = (await account_of(session, invoice.recorded_for)).patient_id
        invoice.paid_at = invoice.collection_case_id = None
        publish(session, InvoiceReopened.of(invoice, payment_id=payment_id, reason=reason))
    if invoice.status == "overdue" and was != "overdue":
        publish(session, InvoiceOverdue.of(invoice))
    await expect_payment(session, invoice)


async def _release_holds(session: AsyncSession, dispute_id: UUID) -> Sequence[Invoice]:
    released = delete(InvoiceHold).where(InvoiceHold.dispute_id == dispute_id)
    held = {hold.invoice_id: hold.amount for hold in await session.scalars(released.returning(InvoiceHold))}
    invoices = await Invoice.all_locked(session, Invoice.invoice_id.in_(held)) if held else []
    for invoice in invoices:
        invoice.held_amount -= held[invoice.invoice_id]
    return invoices


async def _by_invoice(session: AsyncSession, parts: Parts) -> list[tuple[Invoice, Parts]]:
    """The invoices that allocations are on, locked, each with its own."""
    by_invoice: defaultdict[UUID, list[tuple[InvoicePaymentAllocation, Money]]] = defaultdict(list)
    for allocation, part in parts:
        by_invoice[allocation.invoice_id].append((allocation, part))
    invoices = await Invoice.all_locked(session, Invoice.invoice_id.in_(by_invoice)) if by_invoice else []
    return [(invoice, by_invoice[invoice.invoice_id]) for invoice in invoices]
