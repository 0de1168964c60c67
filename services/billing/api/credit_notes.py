"""Credit notes over HTTP."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select

from broker import Idempotent, Page, PageRequest, Reading, Router, Transaction
from services.billing import commands, tables, views
from services.billing.api.roles import Clerk, Manager, Reader, seen
from services.billing.rules import RequestStatus

router = Router()


@router.post("/invoices/{invoice_id}/credit-notes", status_code=201)
async def issue_credit_note(
    invoice_id: UUID, asked: views.NewCreditNote, who: Manager, session: Transaction, key: Idempotent
) -> views.CreditNote:
    """Takes back a part of an invoice, paid or not; above the limit for one person, request it instead."""
    await seen(session, tables.Invoice, invoice_id, who)
    note = await commands.issue_credit_note(session, invoice_id, **dict(asked), by=who.subject)
    return views.CreditNote.model_validate(note)


@router.get("/invoices/{invoice_id}/credit-notes")
async def list_credit_notes(invoice_id: UUID, who: Reader, session: Reading, page: PageRequest) -> Page[views.CreditNote]:
    """What of an invoice was taken back."""
    await seen(session, tables.Invoice, invoice_id, who)
    note = tables.CreditNote
    query = select(note).where(note.invoice_id == invoice_id)
    return await page.read(session, query, by=[note.credit_note_id], view=views.CreditNote.model_validate)


@router.post("/invoices/{invoice_id}/credit-note-requests", status_code=201)
async def request_credit_note(
    invoice_id: UUID, asked: views.NewCreditNote, who: Clerk, session: Transaction, key: Idempotent
) -> views.CreditNoteRequest:
    """Asks a manager to take back a part of an invoice."""
    await seen(session, tables.Invoice, invoice_id, who)
    request = await commands.request_credit_note(session, invoice_id, **dict(asked), by=who.subject)
    return views.CreditNoteRequest.model_validate(request)


@router.get("/credit-note-requests")
async def list_credit_note_requests(
    who: Clerk, session: Reading, page: PageRequest, status: RequestStatus | None = None
) -> Page[views.CreditNoteRequest]:
    """Requests to take back parts of invoices."""
    request = tables.CreditNoteRequest
    query = select(request).where(who.within(request.facility_id))
    if status is not None:
        query = query.where(request.status == status)
    by = [request.requested_at, request.credit_note_request_id]
    return await page.read(session, query, by=by, view=views.CreditNoteRequest.model_validate)


@router.post("/credit-note-requests/{credit_note_request_id}/approve")
async def approve_credit_note(credit_note_request_id: UUID, who: Manager, session: Transaction) -> views.CreditNoteRequest:
    """Takes back a part of an invoice, as somebody else asked."""
    await seen(session, tables.CreditNoteRequest, credit_note_request_id, who)
    request = await commands.approve_credit_note(session, credit_note_request_id, by=who.subject)
    return views.CreditNoteRequest.model_validate(request)


@router.post("/credit-note-requests/{credit_note_request_id}/refuse")
async def refuse_credit_note(credit_note_request_id: UUID, who: Manager, session: Transaction) -> views.CreditNoteRequest:
    """Leaves an invoice as it is."""
    await seen(session, tables.CreditNoteRequest, credit_note_request_id, who)
    request = await commands.refuse_credit_note(session, credit_note_request_id, by=who.subject)
    return views.CreditNoteRequest.model_validate(request)
