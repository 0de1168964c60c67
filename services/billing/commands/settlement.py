"""What lowers an invoice's balance: payments, adjustments, write-offs."""

from __future__ import annotations

from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from broker import clock, publish, unschedule
from contracts.billing import AdjustmentPosted, CreditCreated, InvoicePaid, InvoicePartiallyPaid
from contracts.money import Money
from contracts.payment import PaymentSucceeded
from services.billing import rules
from services.billing.commands.accounts import account_of
from services.billing.commands.invoices import due_name
from services.billing.errors import InvoiceIsInAnotherCurrency
from services.billing.tables import BillingAdjustment, Credit, Invoice, InvoicePaymentAllocation, Receipt


async def allocate_payment(session: AsyncSession, payment: PaymentSucceeded, source_event_id: UUID) -> None:
    """Settles what the payer named, or without that the oldest due invoices; what is left is the patient's credit.

    A payer's word binds: what they pay too much on one invoice is not moved to another without asking them.
    Raises InvoiceNotFound, InvoiceIsInAnotherCurrency, NotYet.
    """
    receipt = Receipt.of(payment, source_event_id)
    session.add(receipt)
    await session.flush()
    left = payment.amount
    for invoice in await _invoices_for(session, payment):
        left -= await _settle(session, invoice, receipt, left)
    if left:
        await _credit(session, payment, receipt, left)


async def post_adjustment(
    session: AsyncSession, invoice_id: UUID, amount: Money, *, reason: str, posted_by: str, approved_by: str | None = None
) -> Invoice:
    """Lowers an invoice's balance, spread over its lines by what is open there.

    Raises AdjustmentIsMoreThanTheBalance, InvoiceIsInAnotherCurrency, InvoiceCannotBecome, InvoiceNotFound.
    """
    invoice = await Invoice.locked(session, invoice_id)
    _post(session, invoice, amount, reason, posted_by, approved_by)
    invoice.status = rules.status_after_settling(invoice)
    if invoice.status == "paid":
        await _conclude(session, invoice)
    return invoice


async def write_off(
    session: AsyncSession, invoice_id: UUID, *, reason: str, requested_by: str, approved_by: str | None = None
) -> Invoice:
    """Gives up what is open on an invoice. Raises LargeWriteOffNeedsASecondApprover, InvoiceCannotBecome, InvoiceNotFound."""
    invoice = await Invoice.locked(session, invoice_id)
    rules.check_write_off(invoice.balance, requested_by, approved_by)
    rules.moved(invoice.status, "written_off")
    _post(session, invoice, invoice.balance, reason, requested_by, approved_by)
    invoice.move("written_off")
    await unschedule(session, due_name(invoice_id))
    return invoice


async def _invoices_for(session: AsyncSession, payment: PaymentSucceeded) -> list[Invoice]:
    if payment.invoice_id is not None:
        invoice = await Invoice.locked(session, payment.invoice_id)
        if invoice.currency != payment.amount.currency:
            raise InvoiceIsInAnotherCurrency(invoice_id=invoice.invoice_id, currency=invoice.currency)
        return rules.to_be_paid([invoice])
    account = await account_of(session, payment.patient_id)
    at_facility = [Invoice.patient_id == account.patient_id, Invoice.facility_id == payment.facility_id]
    payable = [Invoice.status.in_(rules.PAYABLE), Invoice.currency == payment.amount.currency]
    return rules.to_be_paid(await Invoice.all_locked(session, *at_facility, *payable))


async def _settle(session: AsyncSession, invoice: Invoice, receipt: Receipt, amount: Money) -> Money:
    """Allocates up to `amount` to an invoice; gives how much that was."""
    shares = invoice.allocate(amount)
    session.add_all(InvoicePaymentAllocation.of(receipt, line, share) for line, share in shares)
    settled = Money.total((share for _, share in shares), amount.currency)
    if invoice.status == "paid":
        invoice.paid_at = receipt.received_at
        await _conclude(session, invoice)
    elif settled:
        publish(session, InvoicePartiallyPaid.of(invoice, amount=settled))
    return settled


async def _conclude(session: AsyncSession, invoice: Invoice) -> None:
    invoice.paid_at = invoice.paid_at or clock.now()
    await unschedule(session, due_name(invoice.invoice_id))
    publish(session, InvoicePaid.of(invoice, amount=invoice.allocated))


async def _credit(session: AsyncSession, payment: PaymentSucceeded, receipt: Receipt, amount: Money) -> None:
    account = await account_of(session, payment.patient_id)
    credit = Credit(
        credit_id=uuid4(),
        source_event_id=receipt.source_event_id,
        receipt_id=receipt.receipt_id,
        patient_id=account.patient_id,
        facility_id=payment.facility_id,
        invoice_id=payment.invoice_id,
        payment_id=payment.payment_id,
        amount=amount.amount,
        currency=amount.currency,
    )
    session.add(credit)
    publish(session, CreditCreated.of(credit, amount=amount))


def _post(session: AsyncSession, invoice: Invoice, amount: Money, reason: str, posted_by: str, approved_by: str | None) -> None:
    if amount.currency != invoice.currency:
        raise InvoiceIsInAnotherCurrency(invoice_id=invoice.invoice_id, currency=invoice.currency)
    invoice.adjust(amount)
    adjustment = BillingAdjustment(
        adjustment_id=uuid4(),
        invoice_id=invoice.invoice_id,
        amount=amount.amount,
        currency=amount.currency,
        reason=reason,
        posted_by=posted_by,
        approved_by=approved_by,
        posted_at=clock.now(),
    )
    session.add(adjustment)
    event = AdjustmentPosted.of(invoice, adjustment_id=adjustment.adjustment_id, amount=amount, reason=reason)
    publish(session, event)
