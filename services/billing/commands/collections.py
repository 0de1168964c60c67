"""What falls due and is not paid: overdue invoices, and accounts that others collect from."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from broker import clock, publish, schedule
from contracts.billing import BillingAccountSentToCollections, CollectionReason, InvoiceDue, InvoiceOverdue
from contracts.money import Money
from contracts.payment import InstallmentPlanDefaulted
from services.billing import rules
from services.billing.commands.accounts import account_of, working_on
from services.billing.commands.days import zone_of
from services.billing.errors import AccountIsInCollectionsAlready, ThereIsNothingToCollect
from services.billing.tables import BillingAuditEntry, CollectionCase, Invoice


async def look_at_due_invoice(session: AsyncSession, invoice_id: UUID) -> None:
    """An invoice with money open after its due date is overdue; once it is too old, its account goes to collections.

    One that was settled or voided stays as it is, and so does one that is on hold. Where its next day has not come, by the
    clock of its facility, it is looked at again then.
    """
    invoice = await working_on(session, invoice_id, alone=True)
    next_day = await _next_day(session, invoice)
    if invoice.is_held or next_day is None or invoice.status not in rules.PAYABLE:
        return
    if next_day > clock.now():
        await expect_payment(session, invoice)
    elif invoice.status == "overdue":
        await _collect(session, invoice, "aged_over_120_days")
    else:
        invoice.move("overdue")
        publish(session, InvoiceOverdue.of(invoice))
        await expect_payment(session, invoice)


async def collect_defaulted(session: AsyncSession, plan: InstallmentPlanDefaulted) -> None:
    """Who missed too many instalments goes to collections, unless they are there, have paid by now, or dispute a payment."""
    invoice = await working_on(session, plan.invoice_id, alone=True)
    if invoice.status in rules.PAYABLE and not invoice.is_held:
        await _collect(session, invoice, "instalments_defaulted")


async def send_to_collections(
    session: AsyncSession, patient_id: UUID, facility_id: UUID, currency: str, *, by: str
) -> CollectionCase:
    """Gives what a patient owes at a facility and is overdue to others.

    Raises ThereIsNothingToCollect, AccountIsInCollectionsAlready, NotYet.
    """
    account = await account_of(session, patient_id, alone=True)
    if await _open_case(session, account.patient_id, facility_id, currency) is not None:
        raise AccountIsInCollectionsAlready
    invoices = await _overdue(session, account.patient_id, facility_id, currency)
    if not invoices:
        raise ThereIsNothingToCollect
    case = _send(session, account.patient_id, invoices, "by_decision")
    entry = BillingAuditEntry.of("sent_to_collections", by, case.balance, facility_id, account.patient_id)
    session.add(entry)
    return case


async def recall_from_collections(session: AsyncSession, case_id: UUID, *, by: str) -> CollectionCase:
    """Takes a case back: we ask for it ourselves again. Raises CollectionCannotBecome, NotFound."""
    await account_of(session, (await CollectionCase.seen(session, case_id)).recorded_for, alone=True)
    invoices = await Invoice.all_locked(session, Invoice.collection_case_id == case_id)
    case = await CollectionCase.locked(session, case_id)
    case.move("recalled")
    for invoice in invoices:
        invoice.collection_case_id = None
    entry = BillingAuditEntry.of("recalled_from_collections", by, case.balance, case.facility_id, case.patient_id)
    session.add(entry)
    return case


async def settle_case(session: AsyncSession, invoice: Invoice) -> None:
    """Closes the case of an invoice on which nothing is open any more, when it was the last of the case."""
    if invoice.collection_case_id is None:
        return
    case = await CollectionCase.locked(session, invoice.collection_case_id)
    others = [Invoice.collection_case_id == case.case_id, Invoice.invoice_id != invoice.invoice_id]
    still_open = select(Invoice.invoice_id).where(*others, Invoice.status.in_(rules.PAYABLE)).limit(1)
    if case.status == "open" and await session.scalar(still_open) is None:
        case.move("settled")


async def leave_case(session: AsyncSession, invoice: Invoice) -> None:
    """The patient is asked for an invoice apart from its case; once it is due, it is looked at again."""
    await settle_case(session, invoice)
    invoice.collection_case_id = None
    await expect_payment(session, invoice)


async def expect_payment(session: AsyncSession, invoice: Invoice) -> None:
    """Has the invoice looked at when its next day comes: first its due date, then that for collections."""
    next_day = await _next_day(session, invoice)
    if next_day is not None:
        due = InvoiceDue(invoice_id=invoice.invoice_id)
        await schedule(session, due, at=next_day, name=due_name(invoice.invoice_id))


async def _next_day(session: AsyncSession, invoice: Invoice) -> datetime | None:
    """When an invoice is to be looked at next; None for one that is never due."""
    if invoice.due_on is None:
        return None
    begins = rules.collected_from if invoice.status == "overdue" else rules.overdue_from
    return begins(invoice.due_on, await zone_of(session, invoice.facility_id))


def due_name(invoice_id: UUID) -> str:
    """What the event of an invoice's next day is scheduled under."""
    return f"invoice {invoice_id} due"


async def _collect(session: AsyncSession, invoice: Invoice, reason: CollectionReason) -> None:
    """invoice: one that can be paid, so that it is with whom its account is; that is held alone."""
    case = await _open_case(session, invoice.patient_id, invoice.facility_id, invoice.currency)
    if case is not None:
        _add(case, invoice)
        return
    overdue = await _overdue(session, invoice.patient_id, invoice.facility_id, invoice.currency)
    _send(session, invoice.patient_id, [invoice, *(other for other in overdue if other is not invoice)], reason)


def _send(session: AsyncSession, patient_id: UUID, invoices: Sequence[Invoice], reason: CollectionReason) -> CollectionCase:
    balance = Money.total(invoice.balance for invoice in invoices)
    case = CollectionCase(
        case_id=uuid4(),
        patient_id=patient_id,
        facility_id=invoices[0].facility_id,
        status="open",
        reason=reason,
        amount=balance.amount,
        currency=balance.currency,
        sent_at=clock.now(),
    )
    session.add(case)
    for invoice in invoices:
        invoice.collection_case_id = case.case_id
    publish(session, BillingAccountSentToCollections.of(case))
    return case


def _add(case: CollectionCase, invoice: Invoice) -> None:
    """Has those who collect the case ask for one more invoice; does nothing when they do already."""
    if invoice.collection_case_id != case.case_id:
        invoice.collection_case_id = case.case_id
        case.amount += invoice.balance.amount


async def _open_case(session: AsyncSession, patient_id: UUID, facility_id: UUID, currency: str) -> CollectionCase | None:
    case = CollectionCase
    of_account = [case.patient_id == patient_id, case.facility_id == facility_id, case.currency == currency]
    query = select(case).where(*of_account, case.status == "open").order_by(case.sent_at, case.case_id).limit(1)
    return await session.scalar(query.with_for_update().execution_options(populate_existing=True))


async def _overdue(session: AsyncSession, patient_id: UUID, facility_id: UUID, currency: str) -> Sequence[Invoice]:
    of_account = [Invoice.patient_id == patient_id, Invoice.facility_id == facility_id, Invoice.currency == currency]
    return await Invoice.all_locked(session, *of_account, Invoice.status == "overdue", Invoice.held_amount == 0)
