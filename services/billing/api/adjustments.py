"""What lowers an invoice without money, over HTTP."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select

from broker import Idempotent, Page, PageRequest, Reading, Router, Transaction
from services.billing import commands, tables, views
from services.billing.api.roles import Auditor, Clerk, Manager, Reader, seen
from services.billing.rules import RequestStatus

router = Router()


@router.post("/invoices/{invoice_id}/adjustments", status_code=201)
async def post_adjustment(
    invoice_id: UUID, asked: views.NewAdjustment, who: Manager, session: Transaction, key: Idempotent
) -> views.Invoice:
    """Lowers an invoice's balance; above the limit for one person, request a write-off instead."""
    await seen(session, tables.Invoice, invoice_id, who)
    invoice = await commands.post_adjustment(session, invoice_id, **dict(asked), posted_by=who.subject)
    return views.Invoice.model_validate(invoice)


@router.get("/invoices/{invoice_id}/adjustments")
async def list_adjustments(invoice_id: UUID, who: Reader, session: Reading, page: PageRequest) -> Page[views.Adjustment]:
    """What of an invoice will not be asked for, and why."""
    await seen(session, tables.Invoice, invoice_id, who)
    adjustment = tables.BillingAdjustment
    query = select(adjustment).where(adjustment.invoice_id == invoice_id)
    by = [adjustment.posted_at, adjustment.adjustment_id]
    return await page.read(session, query, by=by, view=views.Adjustment.model_validate)


@router.post("/invoices/{invoice_id}/write-off")
async def write_off(invoice_id: UUID, asked: views.WriteOff, who: Manager, session: Transaction) -> views.Invoice:
    """Gives up what is open on an invoice; above the limit, request it instead."""
    await seen(session, tables.Invoice, invoice_id, who)
    invoice = await commands.write_off(session, invoice_id, reason=asked.reason, requested_by=who.subject)
    return views.Invoice.model_validate(invoice)


@router.post("/invoices/{invoice_id}/write-off-requests", status_code=201)
async def request_write_off(
    invoice_id: UUID, asked: views.WriteOff, who: Clerk, session: Transaction, key: Idempotent
) -> views.WriteOffRequest:
    """Asks a manager to give up what is open on an invoice."""
    await seen(session, tables.Invoice, invoice_id, who)
    request = await commands.request_write_off(session, invoice_id, reason=asked.reason, by=who.subject)
    return views.WriteOffRequest.model_validate(request)


@router.get("/write-off-requests")
async def list_write_off_requests(
    who: Clerk, session: Reading, page: PageRequest, status: RequestStatus | None = None
) -> Page[views.WriteOffRequest]:
    """Requests to give invoices up."""
    request = tables.WriteOffRequest
    query = select(request).where(who.within(request.facility_id))
    if status is not None:
        query = query.where(request.status == status)
    by = [request.requested_at, request.request_id]
    return await page.read(session, query, by=by, view=views.WriteOffRequest.model_validate)


@router.post("/write-off-requests/{request_id}/approve")
async def approve_write_off(request_id: UUID, who: Manager, session: Transaction) -> views.WriteOffRequest:
    """Gives an invoice up, as somebody else asked."""
    await seen(session, tables.WriteOffRequest, request_id, who)
    request = await commands.approve_write_off(session, request_id, by=who.subject)
    return views.WriteOffRequest.model_validate(request)


@router.post("/write-off-requests/{request_id}/refuse")
async def refuse_write_off(request_id: UUID, who: Manager, session: Transaction) -> views.WriteOffRequest:
    """Leaves an invoice as it is."""
    await seen(session, tables.WriteOffRequest, request_id, who)
    request = await commands.refuse_write_off(session, request_id, by=who.subject)
    return views.WriteOffRequest.model_validate(request)


@router.get("/audit-log")
async def list_audit_entries(who: Auditor, session: Reading, page: PageRequest) -> Page[views.AuditEntry]:
    """Who decided what about money, the oldest first."""
    entry = tables.BillingAuditEntry
    query = select(entry).where(who.within(entry.facility_id))
    return await page.read(session, query, by=[entry.decided_at, entry.entry_id], view=views.AuditEntry.model_validate)
