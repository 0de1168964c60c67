"""Giving money back, over HTTP."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from broker import Idempotent, Page, PageRequest, Principal, Reading, Router, Transaction
from services.payment import commands
from services.payment.api.roles import Clerk, Manager, Reader
from services.payment.rules import RefundStatus
from services.payment.tables import Payment, PaymentRefund
from services.payment.views import refunds as views

router = Router(tags=["refunds"])


@router.post("/payments/{payment_id}/refunds", status_code=201)
async def request_refund(
    payment_id: UUID, asked: views.NewRefund, who: Clerk, session: Transaction, key: Idempotent
) -> views.Refund:
    """Asks for money to go back: of the provider that it came through, or of a second person who pays it out."""
    who.at((await Payment.seen(session, payment_id)).facility_id)
    refund = await commands.request_refund(session, payment_id, asked.amount, reason=asked.reason, by=who.subject)
    return views.Refund.model_validate(refund)


@router.post("/refunds/{refund_id}/pay-out")
async def pay_refund_out(refund_id: UUID, who: Manager, session: Transaction) -> views.Refund:
    """Pays a refund out by hand that somebody else has asked for."""
    await _seen(session, refund_id, who)
    return views.Refund.model_validate(await commands.pay_refund_out(session, refund_id, who.subject))


@router.post("/refunds/{refund_id}/refuse")
async def refuse_refund(refund_id: UUID, who: Manager, session: Transaction) -> views.Refund:
    """Keeps money that somebody else has asked for."""
    await _seen(session, refund_id, who)
    return views.Refund.model_validate(await commands.refuse_refund(session, refund_id, who.subject))


@router.get("/refunds")
async def list_refunds(
    who: Reader,
    session: Reading,
    page: PageRequest,
    payment_id: UUID | None = None,
    invoice_id: UUID | None = None,
    patient_id: UUID | None = None,
    status: RefundStatus | None = None,
) -> Page[views.Refund]:
    """Refunds, the oldest first."""
    refund = PaymentRefund
    asked = {refund.payment_id: payment_id, refund.invoice_id: invoice_id, refund.patient_id: patient_id, refund.status: status}
    given = [column == value for column, value in asked.items() if value is not None]
    query = select(refund).where(who.within(refund.facility_id), *given)
    by = [refund.requested_at, refund.refund_id]
    return await page.read(session, query, by=by, view=views.Refund.model_validate)


@router.get("/refunds/{refund_id}")
async def show_refund(refund_id: UUID, who: Reader, session: Reading) -> views.Refund:
    """A refund."""
    return views.Refund.model_validate(await _seen(session, refund_id, who))


async def _seen(session: AsyncSession, refund_id: UUID, who: Principal) -> PaymentRefund:
    refund = await PaymentRefund.seen(session, refund_id)
    who.at(refund.facility_id)
    return refund
