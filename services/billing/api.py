"""Billing over HTTP."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Query
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from broker import Idempotent, NotFound, Page, PageRequest, Principal, Reading, Router, Transaction, allow
from contracts.billing import InvoiceStatus
from contracts.money import Money
from services.billing import commands, rules, tables, views
from services.billing.replicas import PatientReference

router = Router(tags=["billing"])

Reader = Annotated[Principal, allow("billing_clerk", "billing_manager", "cashier")]
Clerk = Annotated[Principal, allow("billing_clerk", "billing_manager")]
Manager = Annotated[Principal, allow("billing_manager")]


@router.put("/prices", status_code=204)
async def set_price(asked: views.NewPrice, who: Manager, session: Transaction) -> None:
    """Sets a price of the charge master."""
    who.at(asked.facility_id)
    await commands.set_price(session, **dict(asked))


@router.get("/prices")
async def list_prices(
    who: Reader, session: Reading, page: PageRequest, code: Annotated[str | None, Query(max_length=64)] = None
) -> Page[views.Price]:
    """The charge master, by code and day."""
    price = tables.ChargeMasterPrice
    query = select(price).where(who.within(price.facility_id))
    if code is not None:
        query = query.where(price.code == code)
    by = [price.code, price.effective_from, price.price_id]
    return await page.read(session, query, by=by, view=views.Price.model_validate)


@router.get("/charges")
async def list_charges(
    who: Reader, session: Reading, page: PageRequest, patient_id: UUID | None = None, status: str | None = None
) -> Page[views.Charge]:
    """Charges, by day."""
    charge = tables.Charge
    query = select(charge).where(who.within(charge.facility_id))
    if patient_id is not None:
        query = query.where(charge.patient_id == patient_id)
    if status is not None:
        query = query.where(charge.status == status)
    return await page.read(session, query, by=[charge.service_date, charge.charge_id], view=views.Charge.of)


@router.get("/accounts/{patient_id}")
async def show_account(patient_id: UUID, who: Reader, session: Reading) -> views.Account:
    """What a patient owes; a merged patient's account is that of whom they were merged into."""
    patient = await _surviving(session, patient_id)
    who.at(patient.facility_id)
    owed = await _sums(session, patient.id)
    credit = tables.Credit
    credited = select(credit.currency, func.sum(credit.amount)).where(credit.patient_id == patient.id)
    return views.Account(
        patient_id=patient.id,
        facility_id=patient.facility_id,
        full_name=patient.full_name,
        medical_record_number=patient.medical_record_number,
        owed=owed,
        credit=[Money.of(amount, currency) for currency, amount in await session.execute(credited.group_by(credit.currency))],
    )


@router.get("/credits")
async def list_credits(who: Reader, session: Reading, page: PageRequest, patient_id: UUID | None = None) -> Page[views.Credit]:
    """Credits of patients."""
    credit = tables.Credit
    query = select(credit).where(who.within(credit.facility_id))
    if patient_id is not None:
        query = query.where(credit.patient_id == patient_id)
    return await page.read(session, query, by=[credit.credit_id], view=views.Credit.model_validate)


@router.post("/invoices", status_code=201)
async def issue_invoice(asked: views.NewInvoice, who: Clerk, session: Transaction, key: Idempotent) -> views.Invoice:
    """Issues the invoice of a patient's open charges."""
    who.at(asked.facility_id)
    return views.Invoice.model_validate(await commands.issue_invoice(session, **dict(asked)))


@router.get("/invoices")
async def list_invoices(
    who: Reader,
    session: Reading,
    page: PageRequest,
    patient_id: UUID | None = None,
    status: InvoiceStatus | None = None,
) -> Page[views.InvoiceSummary]:
    """Invoices, by facility and id."""
    invoice = tables.Invoice
    query = select(invoice).where(who.within(invoice.facility_id))
    if patient_id is not None:
        query = query.where(invoice.patient_id == patient_id)
    if status is not None:
        query = query.where(invoice.status == status)
    by = [invoice.facility_id, invoice.invoice_id]
    return await page.read(session, query, by=by, view=views.InvoiceSummary.model_validate)


@router.get("/invoices/{invoice_id}")
async def show_invoice(invoice_id: UUID, who: Reader, session: Reading) -> views.Invoice:
    """An invoice with its lines."""
    return views.Invoice.model_validate(await _seen(session, invoice_id, who))


@router.get("/invoices/{invoice_id}/allocations")
async def list_allocations(invoice_id: UUID, who: Reader, session: Reading, page: PageRequest) -> Page[views.Allocation]:
    """What was paid on an invoice."""
    invoice = await _seen(session, invoice_id, who)
    allocation = tables.InvoicePaymentAllocation
    query = select(allocation).where(allocation.invoice_id == invoice.invoice_id)
    return await page.read(session, query, by=[allocation.allocation_id], view=views.Allocation.model_validate)


@router.post("/invoices/{invoice_id}/void")
async def void_invoice(invoice_id: UUID, asked: views.Voiding, who: Manager, session: Transaction) -> views.Invoice:
    """Takes back an invoice on which nothing was paid."""
    await _seen(session, invoice_id, who)
    return views.Invoice.model_validate(await commands.void_invoice(session, invoice_id, asked.reason))


@router.post("/invoices/{invoice_id}/adjustments", status_code=201)
async def post_adjustment(
    invoice_id: UUID, asked: views.NewAdjustment, who: Manager, session: Transaction, key: Idempotent
) -> views.Invoice:
    """Lowers an invoice's balance."""
    await _seen(session, invoice_id, who)
    invoice = await commands.post_adjustment(session, invoice_id, asked.amount, reason=asked.reason, posted_by=who.subject)
    return views.Invoice.model_validate(invoice)


@router.post("/invoices/{invoice_id}/write-off")
async def write_off(invoice_id: UUID, asked: views.WriteOff, who: Manager, session: Transaction) -> views.Invoice:
    """Gives up what is open on an invoice."""
    await _seen(session, invoice_id, who)
    invoice = await commands.write_off(session, invoice_id, reason=asked.reason, requested_by=who.subject)
    return views.Invoice.model_validate(invoice)


async def _seen(session: AsyncSession, invoice_id: UUID, who: Principal) -> tables.Invoice:
    invoice = await session.get(tables.Invoice, invoice_id)
    if invoice is None:
        raise NotFound
    who.at(invoice.facility_id)
    return invoice


async def _surviving(session: AsyncSession, patient_id: UUID) -> PatientReference:
    account = await session.get(tables.BillingAccount, patient_id)
    if account is not None and account.merged_into is not None:
        return await _surviving(session, account.merged_into)
    patient = await PatientReference.find(session, patient_id)
    if patient is None:
        raise NotFound
    return patient


async def _sums(session: AsyncSession, patient_id: UUID) -> list[Money]:
    invoice = tables.Invoice
    balance = invoice.total_amount - invoice.allocated_amount - invoice.adjusted_amount
    open_ones = [invoice.patient_id == patient_id, invoice.status.in_(rules.PAYABLE)]
    query = select(invoice.currency, func.sum(balance)).where(*open_ones).group_by(invoice.currency)
    return [Money.of(amount, currency) for currency, amount in await session.execute(query)]
