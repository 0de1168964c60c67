"""Lost payments, over HTTP: one person looks in the provider's books, another confirms what was found."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from broker import Idempotent, Page, PageRequest, Principal, Reading, Router, Transaction
from services.payment import commands
from services.payment.api.roles import Clerk, Manager, Reader
from services.payment.rules import TraceStatus
from services.payment.tables import Payment, PaymentTrace
from services.payment.views import traces as views

router = Router(tags=["lost payments"])


@router.post("/payments/{payment_id}/trace", status_code=201)
async def trace_payment(
    payment_id: UUID, asked: views.NewTrace, who: Clerk, session: Transaction, key: Idempotent
) -> views.Trace:
    """Notes what became of a payment whose provider's answer was lost; it takes effect when somebody else confirms it."""
    await _check_seen(session, payment_id, who)
    found = None if asked.found is None else (asked.found.provider_payment_id, asked.found.amount)
    return views.Trace.model_validate(await commands.trace_payment(session, payment_id, found, by=who.subject))


@router.post("/payments/{payment_id}/trace/confirm")
async def confirm_trace(payment_id: UUID, who: Manager, session: Transaction) -> views.Trace:
    """Confirms what somebody else found: the provider is asked what became of it, or the payment has failed."""
    await _check_seen(session, payment_id, who)
    return views.Trace.model_validate(await commands.confirm_trace(session, payment_id, who.subject))


@router.post("/payments/{payment_id}/trace/refuse")
async def refuse_trace(payment_id: UUID, who: Manager, session: Transaction) -> views.Trace:
    """Refuses what was found."""
    await _check_seen(session, payment_id, who)
    return views.Trace.model_validate(await commands.refuse_trace(session, payment_id, who.subject))


@router.get("/payment-traces")
async def list_traces(
    who: Reader, session: Reading, page: PageRequest, payment_id: UUID | None = None, status: TraceStatus | None = None
) -> Page[views.Trace]:
    """What was found out of lost payments, the oldest first."""
    row = PaymentTrace
    asked = {row.payment_id: payment_id, row.status: status}
    given = [column == value for column, value in asked.items() if value is not None]
    query = select(row).where(who.within(row.facility_id), *given)
    return await page.read(session, query, by=[row.traced_at, row.trace_id], view=views.Trace.model_validate)


async def _check_seen(session: AsyncSession, payment_id: UUID, who: Principal) -> None:
    who.at((await Payment.seen(session, payment_id)).facility_id)
