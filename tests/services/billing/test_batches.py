"""Handlers as the backbone runs them: many events in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from uuid import uuid4

from sqlalchemy import func, select

from broker._database import Database
from broker._invocation import Invocation
from contracts.billing import InvoiceChanged, InvoiceIssued, InvoicePaid
from contracts.event import Event
from services.billing.tables import Invoice, Receipt
from tests.services.billing.given import GLUCOSE, SODIUM, completed, discharged, invoiced, paid, priced, usd
from tests.services.kit import Workplace, envelope_of


async def in_one_transaction(billing: Workplace, events: Sequence[Event]) -> None:
    database: Database = billing.database
    async with database.lent() as session:
        for event in events:
            envelope = envelope_of(event, uuid4())
            for subscription in billing.service.subscriptions:
                if subscription.contract(envelope.type):
                    await Invocation(billing.service, subscription).invoke(session, envelope)
        await session.settle()


async def test_a_batch_comes_to_the_same_end_as_its_events_one_by_one(billing: Workplace) -> None:
    """What one event of a batch did is seen by the next: charges by discharges, allocations by further payments."""
    await priced(billing, GLUCOSE, "12.50")
    await priced(billing, SODIUM, "8.00")
    visits = [uuid4() for _ in range(5)]
    orders = [completed(GLUCOSE, SODIUM, encounter_id=visit) for visit in visits]
    early, late = orders[:3], orders[3:]
    await in_one_transaction(billing, [*early, *(discharged(visit) for visit in visits), *late])
    issued = await billing.published(InvoiceIssued)
    assert [event.total for event in issued] == [usd("20.50")] * 5
    assert [event.number for event in issued] == [f"INV-{number:06d}" for number in range(1, 6)]
    parts = [paid(amount, invoice_id=event.invoice_id) for event in issued for amount in ("0.50", "19.00", "2.00")]
    await in_one_transaction(billing, parts)
    assert [event.amount for event in await billing.published(InvoicePaid)] == [usd("20.50")] * 5
    states = await billing.published(InvoiceChanged)
    assert [state.status for state in states] == ["issued"] * 5 + ["paid"] * 5


async def test_every_invoice_of_a_batch_is_settled_to_the_cent(billing: Workplace) -> None:
    """A hundred payments in one transaction."""
    invoices = [await invoiced(billing, f"{number}.{number:02d}", "0.01") for number in range(1, 26)]
    payments = [paid(str(part), invoice_id=each.invoice_id) for each in invoices for part in _quarters(each.total_amount)]
    await in_one_transaction(billing, payments)
    async with billing.transaction() as session:
        received = await session.scalar(select(func.sum(Receipt.amount)))
        assert received == sum(each.total_amount for each in invoices)
        assert set(await session.scalars(select(Invoice.status))) == {"paid"}


def _quarters(amount: Decimal) -> list[Decimal]:
    quarter = (amount / 4).quantize(Decimal("0.01"))
    return [quarter, quarter, quarter, amount - 3 * quarter]
