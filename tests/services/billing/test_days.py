"""Days begin by the clock of the facility, not by that of Greenwich."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select

from broker import clock
from services.billing import commands
from services.billing.rules import due_after
from services.billing.tables import Charge
from tests.services.billing.given import FACILITY, GLUCOSE, completed, facility, invoiced, performed, priced, scheduled, usd
from tests.services.kit import Workplace

EVENING = datetime(2026, 2, 28, 22, 30, tzinfo=UTC)
"""Half past midnight of the first of March in Juba."""


@pytest.fixture(autouse=True)
async def juba(billing: Workplace) -> None:
    await billing.deliver(facility(version=2, time_zone="Africa/Juba"))


async def test_a_price_counts_from_midnight_at_the_facility(billing: Workplace) -> None:
    """What was done after it, by the facility's clock, costs the new price, whatever the day is in UTC."""
    await priced(billing, GLUCOSE, "10.00")
    await priced(billing, GLUCOSE, "12.00", since=date(2026, 3, 1))
    await billing.deliver(completed(GLUCOSE, at=EVENING))
    await billing.deliver(performed(GLUCOSE, at=EVENING))
    async with billing.transaction() as session:
        charges = list(await session.scalars(select(Charge)))
    assert [(charge.service_date, charge.price) for charge in charges] == [(date(2026, 3, 1), usd("12.00"))] * 2


async def test_a_due_date_ends_at_the_facility(billing: Workplace) -> None:
    """Two hours before it does in UTC."""
    invoice = await invoiced(billing, "10.00", due_on=date(2026, 3, 1))
    due_at = (await scheduled(billing))[f"invoice {invoice.invoice_id} due"]
    assert due_at == datetime(2026, 3, 1, 22, tzinfo=UTC)


async def test_terms_count_from_the_day_of_issue_at_the_facility(billing: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is tomorrow there already, in the evening of UTC."""
    monkeypatch.setattr(clock, "now", lambda: EVENING)
    async with billing.transaction() as session:
        assert await commands.day_at(session, FACILITY, clock.now()) == date(2026, 3, 1)
    assert (await invoiced(billing, "10.00")).due_on == due_after(date(2026, 3, 1))


async def test_a_coupon_is_good_for_the_days_of_its_facility(billing: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the first minute of its first day there to the last of its last."""
    monkeypatch.setattr(clock, "now", lambda: EVENING)
    invoice = await invoiced(billing, "10.00")
    day = date(2026, 3, 1)
    async with billing.transaction() as session:
        terms: dict[str, Any] = {"code": "MARCH", "percent": Decimal(10), "valid_from": day, "valid_to": day}
        coupon = await commands.make_coupon(session, facility_id=FACILITY, stacking="stackable", most_redemptions=1, **terms)
        redemption = await commands.redeem_coupon(session, invoice.invoice_id, "MARCH", by="clerk")
    assert redemption.amount == Decimal("1.00")
    assert (await scheduled(billing))[f"coupon {coupon.coupon_id} expires"] == datetime(2026, 3, 1, 22, tzinfo=UTC)
