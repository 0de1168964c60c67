"""Credit notes, which take back a part of an invoice, paid or not."""

from __future__ import annotations

from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from broker import clock
from contracts.money import Money
from services.billing import rules
from services.billing.commands.accounts import working_on
from services.billing.commands.adjustments import check_currency, lower
from services.billing.errors import ACreditNoteIsRequestedAlready
from services.billing.tables import (
    BillingAdjustment,
    BillingAuditEntry,
    CreditNote,
    CreditNoteNumber,
    CreditNoteRequest,
    Invoice,
)


async def issue_credit_note(
    session: AsyncSession, invoice_id: UUID, amount: Money, *, reason: str, by: str, approved_by: str | None = None
) -> CreditNote:
    """Takes back a part of an invoice, also of what is paid: what was paid too much becomes the patient's credit.

    Raises LargeCreditNoteNeedsASecondApprover, CreditNoteIsMoreThanWasInvoiced, InvoiceIsInAnotherCurrency,
    OnlyAnIssuedInvoiceIsClaimedOrCredited, InvoiceNotFound.
    """
    invoice = await _creditable(session, invoice_id, amount)
    rules.check_credit_note_alone(amount, await BillingAdjustment.given_up_alone(session, invoice), by, approved_by)
    shares = rules.in_proportion(amount, [(line, line.asked) for line in invoice.lines])
    await lower(session, invoice, shares, "credit_note", reason, by, approved_by)
    note = CreditNote(
        credit_note_id=uuid4(),
        invoice_id=invoice_id,
        facility_id=invoice.facility_id,
        number=rules.credit_note_number(await CreditNoteNumber.draw(session, invoice.facility_id)),
        amount=amount.amount,
        currency=amount.currency,
        reason=reason,
        issued_by=by,
        approved_by=approved_by,
        issued_at=clock.now(),
    )
    session.add_all([note, BillingAuditEntry.about(invoice, "credit_note_issued", approved_by or by, amount)])
    return note


async def request_credit_note(
    session: AsyncSession, invoice_id: UUID, amount: Money, *, reason: str, by: str
) -> CreditNoteRequest:
    """Asks somebody else to decide on a credit note.

    Raises ACreditNoteIsRequestedAlready, CreditNoteIsMoreThanWasInvoiced, InvoiceIsInAnotherCurrency,
    OnlyAnIssuedInvoiceIsClaimedOrCredited, InvoiceNotFound.
    """
    invoice = await _creditable(session, invoice_id, amount)
    if await CreditNoteRequest.is_undecided(session, invoice_id):
        raise ACreditNoteIsRequestedAlready
    request = CreditNoteRequest.of(invoice, amount, reason, by)
    session.add_all([request, BillingAuditEntry.about(invoice, "credit_note_requested", by, amount)])
    await session.flush()
    return request


async def approve_credit_note(session: AsyncSession, request_id: UUID, *, by: str) -> CreditNoteRequest:
    """Issues a credit note that somebody else asked for.

    Raises ApproverMustBeAnotherPerson, CreditNoteIsMoreThanWasInvoiced, OnlyAnIssuedInvoiceIsClaimedOrCredited,
    RequestCannotBecome, NotFound.
    """
    request = await CreditNoteRequest.locked(session, request_id)
    rules.check_approver(request.requested_by, by)
    request.decide("approved", by)
    invoice = await working_on(session, request.invoice_id)
    session.add(BillingAuditEntry.about(invoice, "credit_note_approved", by, request.requested))
    by_whom = {"by": request.requested_by, "approved_by": by}
    await issue_credit_note(session, request.invoice_id, request.requested, reason=request.reason, **by_whom)
    return request


async def refuse_credit_note(session: AsyncSession, request_id: UUID, *, by: str) -> CreditNoteRequest:
    """Leaves an invoice as it is. Raises RequestCannotBecome, NotFound."""
    request = await CreditNoteRequest.locked(session, request_id)
    invoice = await working_on(session, request.invoice_id)
    request.decide("refused", by)
    session.add(BillingAuditEntry.about(invoice, "credit_note_refused", by, request.requested))
    return request


async def _creditable(session: AsyncSession, invoice_id: UUID, amount: Money) -> Invoice:
    invoice = await working_on(session, invoice_id)
    check_currency(invoice, amount)
    rules.check_issued(invoice.status)
    rules.check_credit_note(amount, invoice.asked)
    return invoice
