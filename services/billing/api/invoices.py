"""Invoices over HTTP."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select

from broker import Idempotent, Page, PageRequest, Reading, Router, Transaction
from contracts.billing import InvoiceStatus
from services.billing import commands, tables, views
from services.billing.api.roles import Clerk, Manager, Reader, seen

router = Router()


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
    of_cancelled: bool = False,
) -> Page[views.InvoiceSummary]:
    """Invoices, by facility and id; `of_cancelled` are those that still ask for an encounter that did not take place."""
    invoice = tables.Invoice
    query = select(invoice).where(who.within(invoice.facility_id))
    if patient_id is not None:
        query = query.where(invoice.patient_id == patient_id)
    if status is not None:
        query = query.where(invoice.status == status)
    if of_cancelled:
        query = query.where(invoice.of_cancelled())
    by = [invoice.facility_id, invoice.invoice_id]
    return await page.read(session, query, by=by, view=views.InvoiceSummary.model_validate)


@router.get("/invoices/{invoice_id}")
async def show_invoice(invoice_id: UUID, who: Reader, session: Reading) -> views.Invoice:
    """An invoice with its lines."""
    return views.Invoice.model_validate(await seen(session, tables.Invoice, invoice_id, who))


@router.get("/invoices/{invoice_id}/allocations")
async def list_allocations(invoice_id: UUID, who: Reader, session: Reading, page: PageRequest) -> Page[views.Allocation]:
    """What was paid on an invoice."""
    invoice = await seen(session, tables.Invoice, invoice_id, who)
    allocation = tables.InvoicePaymentAllocation
    query = select(allocation).where(allocation.invoice_id == invoice.invoice_id)
    return await page.read(session, query, by=[allocation.allocation_id], view=views.Allocation.model_validate)


@router.post("/invoices/{invoice_id}/void")
async def void_invoice(invoice_id: UUID, asked: views.Voiding, who: Manager, session: Transaction) -> views.Invoice:
    """Takes back an invoice on which nothing was paid."""
    await seen(session, tables.Invoice, invoice_id, who)
    return views.Invoice.model_validate(await commands.void_invoice(session, invoice_id, asked.reason, by=who.subject))
