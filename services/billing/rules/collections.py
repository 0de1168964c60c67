"""How old a debt is, and when others ask for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta, tzinfo
from typing import Literal

from broker import LifeCycle
from contracts.billing import CollectionStatus
from contracts.money import Money
from services.billing.errors import CollectionCannotBecome
from services.billing.rules.invoices import overdue_from

Bucket = Literal["0-30", "31-60", "61-90", "91-120", "over 120"]

AGING: Mapping[Bucket, int | None] = {"0-30": 30, "31-60": 60, "61-90": 90, "91-120": 120, "over 120": None}
"""The last day past due of each bucket; what is not due yet is in the first."""

COLLECT_AFTER = timedelta(days=120)
"""How long past its due date an invoice stays with us."""

COLLECTION = LifeCycle[CollectionStatus](
    {
        "open": {"settled", "recalled"},
        "settled": set(),
        "recalled": set(),
    },
    refused=CollectionCannotBecome,
)


def bucket_of(due_on: date, today: date) -> Bucket:
    """Where a debt that was due on a day stands today."""
    days = (today - due_on).days
    return next(bucket for bucket, last in AGING.items() if last is None or days <= last)


def aged(debts: Iterable[tuple[date, Money]], today: date) -> dict[str, dict[Bucket, Money]]:
    """The sums by currency and bucket, of debts with their due dates."""
    table: dict[str, dict[Bucket, Money]] = {}
    for due_on, debt in debts:
        nothing = {bucket: Money.of(0, debt.currency) for bucket in AGING}
        table.setdefault(debt.currency, nothing)[bucket_of(due_on, today)] += debt
    return table


def collected_from(due_on: date, zone: tzinfo) -> datetime:
    """The moment from which an invoice is in the last bucket, and goes to collections."""
    return overdue_from(due_on + COLLECT_AFTER, zone)
