"""Money that arrives: what it settles, and what is left of it."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from broker import clock, publish, unschedule
from contracts.billing import CreditCreated, InvoicePaid, InvoicePartiallyPaid
from contracts.money import Money
from contracts.payment import PaymentSucceeded
from services.billing import rules
from services.billing.commands.accounts import account_of, recorded_for
from services.billing.commands.collections import due_name, settle_case
from services.billing.errors import (
    CreditIsDisputed,
    CreditIsLessThanThat,
    CreditIsOfAnotherPatient,
    InvoiceCannotBecome,
    InvoiceIsInAnotherCurrency,
)
from services.billing.tables import (
    BillingAccount,
    BillingAuditEntry,
    Credit,
    Dispute,
    Invoice,
    InvoicePaymentAllocation,
    Receipt,
    Source,
)


async def allocate_payment(session: AsyncSession, payment: PaymentSucceeded, source_event_id: UUID) -> None:
    """Settles what the payer named, or without that the oldest due invoices; what is left is the patient's credit.

    A payer's word binds: what they pay too much on one invoice is not moved to another without asking them. What names an
    invoice of another patient or facility settles nothing: it is credit until a person has looked at it.
    Raises InvoiceNotFound, InvoiceIsInAnotherCurrency, NotYet.
    """
    receipt = Receipt.of(payment, source_event_id)
    session.add(receipt)
    await session.flush()
    left = payment.amount
    for invoice in await _invoices_for(session, payment):
        left -= await _settle(session, invoice, receipt.source, left)
    if left:
        account = await account_of(session, payment.patient_id)
        whose = {"patient_id": account.patient_id, "recorded_for": payment.patient_id}
        credit = Credit.of(receipt.source, **whose, facility_id=payment.facility_id, invoice_id=payment.invoice_id, amount=left)
        keep_as_credit(session, credit, at=receipt.source.at)


async def apply_credit(session: AsyncSession, credit_id: UUID, invoice_id: UUID, amount: Money | None, *, by: str) -> Invoice:
    """Settles another invoice of the patient with a credit, or with `amount` of it; what the invoice has not open stays.

    Raises CreditIsOfAnotherPatient, CreditIsLessThanThat, CreditIsDisputed, InvoiceIsInAnotherCurrency, InvoiceCannotBecome.
    """
    seen = await Credit.seen(session, credit_id)
    await Receipt.of_payment(session, seen.payment_id)
    await BillingAccount.all_held(session, {seen.recorded_for, await recorded_for(session, invoice_id)})
    credit = await Credit.locked(session, credit_id)
    invoice = await Invoice.locked(session, invoice_id)
    await _check_applicable(session, credit, invoice, amount or credit.left)
    source = Source(credit.receipt_id, credit.payment_id, event_id=uuid4(), at=clock.now())
    settled = await _settle(session, invoice, source, amount or credit.left)
    credit.use(settled)
    session.add(BillingAuditEntry.about(invoice, "credit_applied", by, settled))
    return invoice


async def conclude(session: AsyncSession, invoice: Invoice) -> None:
    """What follows when nothing is open on an invoice any more."""
    invoice.paid_at = invoice.paid_at or clock.now()
    await unschedule(session, due_name(invoice.invoice_id))
    await settle_case(session, invoice)
    publish(session, InvoicePaid.of(invoice, amount=invoice.allocated))


def keep_as_credit(session: AsyncSession, credit: Credit, *, at: datetime) -> None:
    """Makes what settles nothing, since `at`, the patient's credit."""
    session.add(credit)
    publish(session, CreditCreated.of(credit, amount=credit.left, created_at=at))


async def _invoices_for(session: AsyncSession, payment: PaymentSucceeded) -> list[Invoice]:
    account = await account_of(session, payment.patient_id)
    if payment.invoice_id is not None:
        invoice = await Invoice.locked(session, payment.invoice_id)
        if invoice.currency != payment.amount.currency:
            raise InvoiceIsInAnotherCurrency(invoice_id=invoice.invoice_id, currency=invoice.currency)
        invoice.take_in(payment.payment_id)
        is_theirs = (invoice.facility_id, invoice.patient_id) == (payment.facility_id, account.patient_id)
        return rules.to_be_paid([invoice] if is_theirs else [])
    at_facility = [Invoice.patient_id == account.patient_id, Invoice.facility_id == payment.facility_id]
    payable = [Invoice.status.in_(rules.PAYABLE), Invoice.currency == payment.amount.currency]
    return rules.to_be_paid(await Invoice.all_locked(session, *at_facility, *payable))


async def _settle(session: AsyncSession, invoice: Invoice, source: Source, amount: Money) -> Money:
    """Allocates up to `amount` to an invoice; gives how much that was."""
    shares = invoice.allocate(amount)
    session.add_all(InvoicePaymentAllocation.of(source, line, share) for line, share in shares)
    settled = Money.total((share for _, share in shares), amount.currency)
    if invoice.status == "paid":
        invoice.paid_at = source.at
        await conclude(session, invoice)
    elif settled:
        publish(session, InvoicePartiallyPaid.of(invoice, amount=settled, paid_at=source.at))
    return settled


async def _check_applicable(session: AsyncSession, credit: Credit, invoice: Invoice, amount: Money) -> None:
    if (credit.patient_id, credit.facility_id) != (invoice.patient_id, invoice.facility_id):
        raise CreditIsOfAnotherPatient
    if amount.currency != credit.currency or invoice.currency != credit.currency:
        raise InvoiceIsInAnotherCurrency(invoice_id=invoice.invoice_id, currency=invoice.currency)
    if not credit.left or amount > credit.left:
        raise CreditIsLessThanThat(left=credit.left)
    if invoice.status not in rules.PAYABLE:
        raise InvoiceCannotBecome(state=invoice.status, asked="paid")
    if await Dispute.is_open_on(session, credit.payment_id):
        raise CreditIsDisputed
