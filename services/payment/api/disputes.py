"""Disputes, over HTTP. They begin and end by the provider's word; we only answer."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from broker import Idempotent, Page, PageRequest, Principal, Reading, Router, Transaction
from services.payment import commands
from services.payment.api.roles import Clerk, Reader
from services.payment.rules import DisputeStatus
from services.payment.tables import PaymentDispute
from services.payment.views import disputes as views

router = Router(tags=["disputes"])


@router.post("/disputes/{dispute_id}/evidence")
async def submit_evidence(
    dispute_id: UUID, asked: views.NewEvidence, who: Clerk, session: Transaction, key: Idempotent
) -> views.Dispute:
    """Tells the payer's bank why the money is ours: once, and in time."""
    await _seen(session, dispute_id, who)
    return views.Dispute.model_validate(await commands.submit_evidence(session, dispute_id, asked.text, who.subject))


@router.get("/disputes")
async def list_disputes(
    who: Reader,
    session: Reading,
    page: PageRequest,
    payment_id: UUID | None = None,
    invoice_id: UUID | None = None,
    patient_id: UUID | None = None,
    status: DisputeStatus | None = None,
) -> Page[views.Dispute]:
    """Disputes, the oldest first."""
    row = PaymentDispute
    asked = {row.payment_id: payment_id, row.invoice_id: invoice_id, row.patient_id: patient_id, row.status: status}
    given = [column == value for column, value in asked.items() if value is not None]
    query = select(row).where(who.within(row.facility_id), *given)
    return await page.read(session, query, by=[row.opened_at, row.dispute_id], view=views.Dispute.model_validate)


@router.get("/disputes/{dispute_id}")
async def show_dispute(dispute_id: UUID, who: Reader, session: Reading) -> views.Dispute:
    """A dispute."""
    return views.Dispute.model_validate(await _seen(session, dispute_id, who))


async def _seen(session: AsyncSession, dispute_id: UUID, who: Principal) -> PaymentDispute:
    dispute = await PaymentDispute.seen(session, dispute_id)
    who.at(dispute.facility_id)
    return dispute
