"""Days begin by the clock of the facility, not by that of Greenwich."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select

from broker import clock, unschedule
from contracts.billing import InvoiceDue
from services.billing import commands
from services.billing.errors import PolicyIsNotInForce
from services.billing.rules import due_after
from services.billing.tables import Charge, InsurancePolicy, Invoice
from tests.services.billing.given import (
    FACILITY,
    GLUCOSE,
    PATIENT,
    completed,
    facility,
    invoice_of,
    invoiced,
    performed,
    priced,
    scheduled,
    usd,
)
from tests.services.kit import Workplace

EVENING = datetime(2026, 2, 28, 22, 30, tzinfo=UTC)
"""Half past midnight of the first of March in Juba."""

MIDNIGHT = datetime(2026, 6, 30, 22, tzinfo=UTC)
"""The first of July begins in Juba."""

A_MINUTE = timedelta(minutes=1)


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


@pytest.mark.parametrize(
    ("due_on", "before", "after"),
    [
        (date(2026, 5, 31), "0-30", "31-60"),
        (date(2026, 5, 1), "31-60", "61-90"),
        (date(2026, 4, 1), "61-90", "91-120"),
        (date(2026, 3, 2), "91-120", "over 120"),
    ],
)
async def test_a_debt_grows_older_at_midnight_at_the_facility(
    billing: Workplace, monkeypatch: pytest.MonkeyPatch, due_on: date, before: str, after: str
) -> None:
    """In the account and at the facility, though it is the same day still in UTC."""
    await invoiced(billing, "10.00", due_on=due_on)
    for now, today, bucket in ((MIDNIGHT - A_MINUTE, "2026-06-30", before), (MIDNIGHT, "2026-07-01", after)):
        monkeypatch.setattr(clock, "now", lambda now=now: now)
        async with billing.client("billing_clerk", at=FACILITY) as clerk:
            for path in (f"/accounts/{PATIENT}/aging", f"/facilities/{FACILITY}/aging"):
                shown = (await clerk.get(path)).json()
                owed = {name for name, money in shown["buckets"]["USD"].items() if money["amount"] != "0.00"}
                assert (shown["on"], owed) == (today, {bucket})


async def test_what_is_too_old_goes_to_collections_at_midnight_at_the_facility(
    billing: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not a minute earlier, and it is looked at just then."""
    invoice = await invoiced(billing, "10.00", due_on=date(2026, 3, 2))
    due = InvoiceDue(invoice_id=invoice.invoice_id)
    await billing.deliver(due)
    assert (await scheduled(billing))[f"invoice {invoice.invoice_id} due"] == MIDNIGHT
    for now, is_sent in ((MIDNIGHT - A_MINUTE, False), (MIDNIGHT, True)):
        monkeypatch.setattr(clock, "now", lambda now=now: now)
        await billing.deliver(due)
        assert ((await invoice_of(billing, invoice.invoice_id)).collection_case_id is not None) is is_sent


async def test_what_comes_before_its_day_is_looked_at_again_on_it(billing: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the facility's zone changed after a day was scheduled: nothing is overdue or collected a minute early."""
    invoice = await invoiced(billing, "10.00", due_on=date(2026, 3, 2))
    await billing.deliver(facility(version=3, time_zone="America/New_York"))
    name = f"invoice {invoice.invoice_id} due"
    seen = []
    for day in (datetime(2026, 3, 3, 5, tzinfo=UTC), datetime(2026, 7, 1, 4, tzinfo=UTC)):
        for now in (day - A_MINUTE, day):
            monkeypatch.setattr(clock, "now", lambda now=now: now)
            async with billing.transaction() as session:
                await unschedule(session, name)
            await billing.deliver(InvoiceDue(invoice_id=invoice.invoice_id))
            after = await invoice_of(billing, invoice.invoice_id)
            looks_again = (await scheduled(billing)).get(name)
            seen.append((after.status, after.collection_case_id is not None, looks_again == day))
    assert seen == [("issued", False, True), ("overdue", False, False), ("overdue", False, True), ("overdue", True, False)]


@pytest.mark.parametrize(
    ("due_on", "overdue", "collected"),
    [
        (date(2026, 3, 7), datetime(2026, 3, 8, 5, tzinfo=UTC), datetime(2026, 7, 6, 4, tzinfo=UTC)),
        (date(2026, 3, 8), datetime(2026, 3, 9, 4, tzinfo=UTC), datetime(2026, 7, 7, 4, tzinfo=UTC)),
        (date(2026, 11, 1), datetime(2026, 11, 2, 5, tzinfo=UTC), datetime(2027, 3, 2, 5, tzinfo=UTC)),
    ],
)
async def test_days_end_at_midnight_whatever_the_clocks_do(
    billing: Workplace, due_on: date, overdue: datetime, collected: datetime
) -> None:
    """Where summer time begins or ends on the day itself or between the two, the offset is that of each midnight."""
    await billing.deliver(facility(version=3, time_zone="America/New_York"))
    invoice = await invoiced(billing, "10.00", due_on=due_on)
    name = f"invoice {invoice.invoice_id} due"
    assert (await scheduled(billing))[name] == overdue
    await billing.deliver(InvoiceDue(invoice_id=invoice.invoice_id))
    assert (await scheduled(billing))[name] == collected


async def covered(billing: Workplace, **days: date) -> InsurancePolicy:
    async with billing.transaction() as session:
        covers: dict[str, Any] = {"payer": "A payer", "policy_number": "P-1", "coverage_order": "primary", **days}
        return await commands.add_policy(session, patient_id=PATIENT, facility_id=FACILITY, **covers)


async def is_covered(billing: Workplace, invoice: Invoice, policy: InsurancePolicy) -> bool:
    try:
        async with billing.transaction() as session:
            await commands.draft_claim(session, invoice.invoice_id, policy.policy_id, by="clerk")
    except PolicyIsNotInForce:
        return False
    return True


@pytest.mark.parametrize("calculated_by", ["billing", "another system"])
@pytest.mark.parametrize(
    ("time_zone", "day"),
    [("Africa/Juba", date(2026, 3, 1)), ("UTC", date(2026, 2, 28)), ("America/New_York", date(2026, 2, 28))],
)
async def test_a_policy_covers_the_days_of_the_facility(
    billing: Workplace, monkeypatch: pytest.MonkeyPatch, calculated_by: str, time_zone: str, day: date
) -> None:
    """From the first minute of its first day there to the last of its last; of what another system calculated, at its issue."""
    monkeypatch.setattr(clock, "now", lambda: EVENING)
    await billing.deliver(facility(version=3, time_zone=time_zone))
    if calculated_by == "billing":
        await priced(billing, GLUCOSE, "10.00")
        await billing.deliver(completed(GLUCOSE, at=EVENING))
        async with billing.transaction() as session:
            invoice = await commands.issue_invoice(session, patient_id=PATIENT, facility_id=FACILITY)
    else:
        invoice = await invoiced(billing, "10.00")
    a_day = timedelta(days=1)
    for policy, is_in_force in (
        (await covered(billing, effective_from=date(2026, 1, 1), effective_to=day - a_day), False),
        (await covered(billing, effective_from=day + a_day), False),
        (await covered(billing, effective_from=day, effective_to=day), True),
    ):
        assert await is_covered(billing, invoice, policy) is is_in_force
