"""What lowers a balance without money: adjustments and write-offs."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from broker import clock, publish, unschedule
from contracts.billing import AdjustmentPosted
from contracts.money import Money
from services.billing import rules
from services.billing.commands.accounts import account_of, working_on
from services.billing.commands.collections import due_name, settle_case
from services.billing.commands.payments import conclude, keep_as_credit
from services.billing.errors import AWriteOffIsRequestedAlready, InvoiceIsInAnotherCurrency
from services.billing.rules import Discretion, ReasonCode
from services.billing.tables import (
    BillingAdjustment,
    BillingAuditEntry,
    Credit,
    Invoice,
    InvoiceLineItem,
    InvoicePaymentAllocation,
    Source,
    WriteOffRequest,
)

Shares = Sequence[tuple[InvoiceLineItem, Money]]


async def post_adjustment(
    session: AsyncSession,
    invoice_id: UUID,
    amount: Money,
    *,
    reason: str,
    posted_by: str,
    approved_by: str | None = None,
    reason_code: Discretion = "other",
) -> Invoice:
    """Lowers an invoice's balance, spread over its lines by what is open there.

    Raises OnlyAnIssuedInvoiceIsLowered, LargeAdjustmentNeedsASecondApprover, AdjustmentIsMoreThanTheBalance,
    InvoiceIsInAnotherCurrency, InvoiceNotFound.
    """
    invoice = await working_on(session, invoice_id)
    check_currency(invoice, amount)
    rules.check_lowerable(invoice.status)
    rules.check_discretion(amount, await BillingAdjustment.given_up_alone(session, invoice), posted_by, approved_by)
    invoice.adjust(amount)
    note_adjustment(session, invoice, amount, reason_code, reason, posted_by, approved_by)
    await conclude_if_settled(session, invoice)
    session.add(BillingAuditEntry.about(invoice, "adjustment_posted", posted_by, amount))
    return invoice


async def write_off(
    session: AsyncSession, invoice_id: UUID, *, reason: str, requested_by: str, approved_by: str | None = None
) -> Invoice:
    """Gives up what is open on an invoice. Raises LargeWriteOffNeedsASecondApprover, InvoiceCannotBecome, InvoiceNotFound."""
    invoice = await working_on(session, invoice_id)
    balance = invoice.balance
    given_up = await BillingAdjustment.given_up_alone(session, invoice)
    rules.check_write_off(given_up + balance, requested_by, approved_by)
    invoice.move("written_off")
    invoice.adjust(balance)
    note_adjustment(session, invoice, balance, "write_off", reason, requested_by, approved_by)
    await unschedule(session, due_name(invoice_id))
    await settle_case(session, invoice)
    session.add(BillingAuditEntry.about(invoice, "written_off", approved_by or requested_by, balance))
    return invoice


async def request_write_off(session: AsyncSession, invoice_id: UUID, *, reason: str, by: str) -> WriteOffRequest:
    """Asks somebody else to decide on a write-off. Raises AWriteOffIsRequestedAlready, InvoiceCannotBecome, InvoiceNotFound."""
    invoice = await working_on(session, invoice_id)
    rules.INVOICE.moved(invoice.status, "written_off")
    if await WriteOffRequest.is_undecided(session, invoice_id):
        raise AWriteOffIsRequestedAlready
    request = WriteOffRequest.of(invoice, invoice.balance, reason, by)
    session.add_all([request, BillingAuditEntry.about(invoice, "write_off_requested", by, invoice.balance)])
    await session.flush()
    return request


async def approve_write_off(session: AsyncSession, request_id: UUID, *, by: str) -> WriteOffRequest:
    """Writes off what somebody else asked for.

    Raises ApproverMustBeAnotherPerson, BalanceGrewSinceTheRequest, RequestCannotBecome, InvoiceCannotBecome, NotFound.
    """
    request = await WriteOffRequest.locked(session, request_id)
    invoice = await working_on(session, request.invoice_id)
    rules.check_approval(request.requested, invoice.balance, request.requested_by, by)
    request.decide("approved", by)
    session.add(BillingAuditEntry.about(invoice, "write_off_approved", by, invoice.balance))
    by_whom = {"requested_by": request.requested_by, "approved_by": by}
    await write_off(session, request.invoice_id, reason=request.reason, **by_whom)
    return request


async def refuse_write_off(session: AsyncSession, request_id: UUID, *, by: str) -> WriteOffRequest:
    """Leaves an invoice as it is. Raises RequestCannotBecome, NotFound."""
    request = await WriteOffRequest.locked(session, request_id)
    invoice = await working_on(session, request.invoice_id)
    request.decide("refused", by)
    session.add(BillingAuditEntry.about(invoice, "write_off_refused", by, request.requested))
    return request


async def lower(
    session: AsyncSession,
    invoice: Invoice,
    shares: Shares,
    code: ReasonCode,
    reason: str,
    by: str,
    approved_by: str | None = None,
) -> None:
    """Lowers what lines ask for, paid or not: what they were paid beyond that is the patient's credit."""
    allocations = await InvoicePaymentAllocation.of_invoice(session, invoice.invoice_id)
    account = await account_of(session, invoice.recorded_for)
    for line, share in shares:
        over = share - min(share, line.balance)
        of_line = [allocation for allocation in allocations if allocation.line_id == line.line_id]
        for allocation, part in rules.take_back(over, of_line):
            _free(session, invoice, allocation, part, account.patient_id)
        invoice.adjust_line(line, share)
    amount = Money.total((share for _, share in shares), invoice.currency)
    note_adjustment(session, invoice, amount, code, reason, by, approved_by)
    if invoice.status in rules.PAYABLE:
        await conclude_if_settled(session, invoice)


async def conclude_if_settled(session: AsyncSession, invoice: Invoice) -> None:
    """An invoice on which nothing is open after an adjustment is paid. Raises InvoiceCannotBecome."""
    invoice.status = rules.status_after_settling(invoice)
    if invoice.status == "paid":
        await conclude(session, invoice)


def note_adjustment(
    session: AsyncSession,
    invoice: Invoice,
    amount: Money,
    reason_code: ReasonCode,
    reason: str,
    posted_by: str,
    approved_by: str | None,
) -> None:
    """Writes down that an invoice was lowered, and says so."""
    adjustment = BillingAdjustment(
        adjustment_id=uuid4(),
        invoice_id=invoice.invoice_id,
        amount=amount.amount,
        currency=amount.currency,
        reason_code=reason_code,
        reason=reason,
        posted_by=posted_by,
        approved_by=approved_by,
        posted_at=clock.now(),
    )
    session.add(adjustment)
    publish(session, AdjustmentPosted.of(invoice, adjustment_id=adjustment.adjustment_id, amount=amount, reason=reason))


def _free(session: AsyncSession, invoice: Invoice, allocation: InvoicePaymentAllocation, part: Money, patient_id: UUID) -> None:
    source = Source(allocation.receipt_id, allocation.payment_id, event_id=uuid4(), at=clock.now())
    invoice.release(allocation.line_id, part)
    session.add(allocation.reversal(part, source.event_id))
    of_invoice = {"facility_id": invoice.facility_id, "invoice_id": invoice.invoice_id, "recorded_for": invoice.recorded_for}
    keep_as_credit(session, Credit.of(source, patient_id, amount=part, **of_invoice), at=source.at)


def check_currency(invoice: Invoice, amount: Money) -> None:
    """Raises InvoiceIsInAnotherCurrency."""
    if amount.currency != invoice.currency:
        raise InvoiceIsInAnotherCurrency(invoice_id=invoice.invoice_id, currency=invoice.currency)
