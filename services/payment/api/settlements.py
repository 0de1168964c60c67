"""Reconciliation and figures, over HTTP."""

from __future__ import annotations

from collections import Counter
from datetime import date
from uuid import UUID

from sqlalchemy import select

from broker import Idempotent, Page, PageRequest, Reading, Router, Transaction
from services.payment import commands
from services.payment.api.roles import Analyst, Clerk, Manager
from services.payment.rules import FindingStatus, SettledLine
from services.payment.tables import PaymentAnalyticsDaily, PaymentReconciliation
from services.payment.views import settlements as views

router = Router(tags=["reconciliation"])


@router.post("/settlements")
async def take_settlement(
    asked: views.NewSettlement, who: Manager, session: Transaction, key: Idempotent
) -> views.SettlementTaken:
    """Matches a provider's settlement with our books."""
    who.at(asked.facility_id)
    lines = [SettledLine(**dict(line)) for line in asked.lines]
    settlement = commands.Settlement(facility_id=asked.facility_id, provider=asked.provider, day=asked.day, lines=lines)
    counted = Counter(found.status for found in await commands.take_settlement(session, settlement))
    return views.SettlementTaken(matched=counted["matched"], mismatched=counted["mismatched"], resolved=counted["resolved"])


@router.post("/reconciliation/{reconciliation_id}/resolve")
async def resolve(reconciliation_id: UUID, asked: views.Because, who: Manager, session: Transaction) -> views.Finding:
    """Closes a mismatch that somebody has looked into."""
    who.at((await PaymentReconciliation.seen(session, reconciliation_id)).facility_id)
    found = await commands.resolve(session, reconciliation_id, because=asked.reason, by=who.subject)
    return views.Finding.model_validate(found)


@router.get("/reconciliation")
async def list_findings(
    who: Clerk, session: Reading, page: PageRequest, status: FindingStatus | None = None
) -> Page[views.Finding]:
    """What was found in settlements, the oldest first."""
    row = PaymentReconciliation
    query = select(row).where(who.within(row.facility_id))
    if status is not None:
        query = query.where(row.status == status)
    by = [row.found_at, row.reconciliation_id]
    return await page.read(session, query, by=by, view=views.Finding.model_validate)


@router.get("/payment-analytics")
async def list_days(
    who: Analyst, session: Reading, page: PageRequest, since: date | None = None, until: date | None = None
) -> Page[views.Day]:
    """The days on which money came in or went back, the oldest first; from `since` to `until`, both of them included."""
    day = PaymentAnalyticsDaily
    query = select(day).where(who.within(day.facility_id))
    if since is not None:
        query = query.where(day.day >= since)
    if until is not None:
        query = query.where(day.day <= until)
    by = [day.day, day.facility_id, day.method, day.currency]
    return await page.read(session, query, by=by, view=views.Day.model_validate)
