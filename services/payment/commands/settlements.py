"""Reconciliation: what a provider says that it settled, against our books."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, TypeVar
from uuid import UUID, uuid4

from sqlalchemy import and_, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from broker import clock, publish
from contracts.money import Money
from contracts.payment import PaymentReconciliationMismatched
from services.payment import rules
from services.payment.commands.days import start_at
from services.payment.providers import provider_of
from services.payment.tables import Payment, PaymentProvider, PaymentReconciliation, PaymentRefund

Key = tuple[rules.SettledKind, str]
"""What a provider calls one of its payments or refunds."""

Moved = TypeVar("Moved", Payment, PaymentRefund)


@dataclass(frozen=True, slots=True)
class Booked:
    """What our books say; `amount` None when the money did not move as far as we know."""

    payment_id: UUID
    amount: Money | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """What a provider says that it settled for a facility on a day."""

    facility_id: UUID
    provider: str
    day: date
    lines: Sequence[rules.SettledLine]


async def take_settlement(session: AsyncSession, settlement: Settlement) -> list[PaymentReconciliation]:
    """Matches every line with our books, and our books of that day with the lines; gives what it says, or should have said.

    The same settlement again changes nothing but what matches by now. Raises ProviderIsUnknown, SettlementNamesAPaymentTwice.
    """
    provider_of(settlement.provider)
    rules.check_settlement(settlement.lines)
    # One at a time: two that name the same payment would both find it new.
    await PaymentProvider.locked(session, settlement.provider)
    settled = {(line.kind, line.provider_payment_id): line for line in settlement.lines}
    booked = await _booked(session, settlement)
    known = await _known(session, settlement, settled.keys() | booked.keys())
    return [
        await _find(session, settlement, key, settled.get(key), booked.get(key), known.get(key))
        for key in sorted(settled.keys() | booked.keys())
    ]


async def resolve(session: AsyncSession, reconciliation_id: UUID, *, because: str, by: str) -> PaymentReconciliation:
    """Closes a mismatch that somebody has looked into. Raises NotFound, FindingCannotBecome."""
    found = await PaymentReconciliation.locked(session, reconciliation_id)
    found.move("resolved")
    found.resolved_by, found.resolved_because = by, because
    return found


async def _find(
    session: AsyncSession,
    settlement: Settlement,
    key: Key,
    line: rules.SettledLine | None,
    booked: Booked | None,
    known: PaymentReconciliation | None,
) -> PaymentReconciliation:
    difference = rules.difference(booked.amount if booked else None, line.amount if line else None)
    if known is not None:
        if known.status == "mismatched" and difference is None:
            known.move("matched")
            _note(known, line, booked)
        return known
    kind, provider_payment_id = key
    found = PaymentReconciliation(
        reconciliation_id=uuid4(),
        facility_id=settlement.facility_id,
        provider=settlement.provider,
        kind=kind,
        provider_payment_id=provider_payment_id,
        day=settlement.day,
        status="matched" if difference is None else "mismatched",
        difference=difference,
        found_at=clock.now(),
    )
    _note(found, line, booked)
    session.add(found)
    if difference is not None:
        publish(session, PaymentReconciliationMismatched.of(found))
    return found


def _note(found: PaymentReconciliation, line: rules.SettledLine | None, booked: Booked | None) -> None:
    """Writes down what both sides say."""
    ours, theirs = booked.amount if booked else None, line.amount if line else None
    found.payment_id = booked.payment_id if booked else None
    found.our_amount, found.our_currency = (ours.amount, ours.currency) if ours else (None, None)
    found.their_amount, found.their_currency = (theirs.amount, theirs.currency) if theirs else (None, None)
    found.fee = line.fee.amount if line else None


async def _booked(session: AsyncSession, settlement: Settlement) -> Mapping[Key, Booked]:
    """Our books about what the settlement names, and about all that should be in it."""
    payments = await _concerned(session, settlement, Payment, Payment.provider_payment_id)
    refunds = await _concerned(session, settlement, PaymentRefund, PaymentRefund.provider_refund_id)
    booked: dict[Key, Booked] = {}
    for payment in payments:
        booked["payment", str(payment.provider_payment_id)] = Booked(payment.payment_id, payment.captured or None)
    for refund in refunds:
        amount = refund.amount if refund.status == "succeeded" else None
        booked["refund", str(refund.provider_refund_id)] = Booked(refund.payment_id, amount)
    return booked


async def _concerned(session: AsyncSession, settlement: Settlement, table: type[Moved], provider_id: Any) -> Sequence[Moved]:
    """The facility's payments, or refunds, that the settlement names or that succeeded on its day."""
    begins = await start_at(session, settlement.facility_id, settlement.day)
    ends = await start_at(session, settlement.facility_id, settlement.day + timedelta(days=1))
    is_named = provider_id.in_([line.provider_payment_id for line in settlement.lines])
    is_of_day = and_(table.succeeded_at >= begins, table.succeeded_at < ends, provider_id.is_not(None))
    mine = [table.facility_id == settlement.facility_id, table.provider == settlement.provider]
    return (await session.scalars(select(table).where(*mine, or_(is_named, is_of_day)))).all()


async def _known(session: AsyncSession, settlement: Settlement, keys: set[Key]) -> Mapping[Key, PaymentReconciliation]:
    """What earlier settlements said about these."""
    row = PaymentReconciliation
    query = select(row).where(row.facility_id == settlement.facility_id, row.provider == settlement.provider)
    found = await session.scalars(query.where(row.provider_payment_id.in_({id_ for _, id_ in keys})).with_for_update())
    return {(each.kind, each.provider_payment_id): each for each in found}
