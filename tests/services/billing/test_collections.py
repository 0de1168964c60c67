"""What falls due and is not paid, and what others ask for in the end."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import select

from broker import clock
from contracts.billing import BillingAccountSentToCollections, CollectionCaseChanged, InvoiceDue
from services.billing import commands
from services.billing.errors import AccountIsInCollectionsAlready, CollectionCannotBecome, ThereIsNothingToCollect
from services.billing.tables import CollectionCase, Invoice
from tests.services.billing.given import (
    FACILITY,
    OTHER_PATIENT,
    PATIENT,
    decisions,
    defaulted,
    disputed,
    invoice_of,
    invoiced,
    merged,
    paid,
    patient,
    refunded,
    scheduled,
    usd,
)
from tests.services.kit import Workplace

TODAY = clock.now().date()


async def overdue(billing: Workplace, amount: str, *, days: int = 1) -> Invoice:
    """An invoice that is so many days past due, and has been looked at."""
    invoice = await invoiced(billing, amount, due_on=TODAY - timedelta(days=days))
    await billing.deliver(InvoiceDue(invoice_id=invoice.invoice_id))
    return invoice


async def sent(billing: Workplace) -> CollectionCase:
    async with billing.transaction() as session:
        return await commands.send_to_collections(session, PATIENT, FACILITY, "USD", by="manager")


async def cases(billing: Workplace) -> list[tuple[str, str, Decimal]]:
    async with billing.transaction() as session:
        found = await session.scalars(select(CollectionCase).order_by(CollectionCase.sent_at))
        return [(case.reason, case.status, case.amount) for case in found]


async def test_what_is_over_120_days_old_goes_to_collections(billing: Workplace) -> None:
    """The overdue invoice is looked at again then, and takes with it what else is overdue; not a day earlier."""
    recent = await overdue(billing, "5.00", days=10)
    almost, old = await overdue(billing, "20.00", days=120), await overdue(billing, "10.00", days=121)
    assert (await scheduled(billing))[f"invoice {old.invoice_id} due"] <= clock.now()
    await billing.deliver(InvoiceDue(invoice_id=almost.invoice_id))
    assert await cases(billing) == []
    await billing.deliver(InvoiceDue(invoice_id=old.invoice_id))
    [event] = await billing.published(BillingAccountSentToCollections)
    assert (event.reason, event.patient_id, event.balance.amount) == ("aged_over_120_days", PATIENT, Decimal("35.00"))
    assert (await invoice_of(billing, recent.invoice_id)).collection_case_id is not None


async def test_an_account_is_sent_once(billing: Workplace) -> None:
    """While others ask already, neither age nor a default nor a decision sends it again."""
    invoice = await overdue(billing, "10.00", days=200)
    await billing.deliver(defaulted(invoice))
    await billing.deliver(defaulted(invoice))
    await billing.deliver(InvoiceDue(invoice_id=invoice.invoice_id))
    with pytest.raises(AccountIsInCollectionsAlready):
        await sent(billing)
    assert await cases(billing) == [("instalments_defaulted", "open", Decimal("10.00"))]
    assert len(await billing.published(BillingAccountSentToCollections)) == 1


async def test_what_grows_too_old_joins_the_open_case(billing: Workplace) -> None:
    """Once, and the case ends only when that is settled too."""
    first = await overdue(billing, "10.00", days=200)
    await sent(billing)
    later = await overdue(billing, "5.00", days=130)
    for _ in range(2):
        await billing.deliver(InvoiceDue(invoice_id=later.invoice_id))
    assert await cases(billing) == [("by_decision", "open", Decimal("15.00"))]
    await billing.deliver(paid("10.00", invoice_id=first.invoice_id))
    assert [status for _, status, _ in await cases(billing)] == ["open"]
    await billing.deliver(paid("5.00", invoice_id=later.invoice_id))
    assert [status for _, status, _ in await cases(billing)] == ["settled"]


async def test_whoever_follows_a_case_hears_what_becomes_of_it(billing: Workplace) -> None:
    """That another invoice joined it, that it was recalled or is over, and whose it is after a merge; nothing otherwise."""
    await billing.deliver(patient(OTHER_PATIENT))
    await overdue(billing, "10.00", days=200)
    case = await sent(billing)
    later = await overdue(billing, "5.00", days=130)
    for _ in range(2):
        await billing.deliver(InvoiceDue(invoice_id=later.invoice_id))
    await billing.deliver(merged(PATIENT, OTHER_PATIENT))
    async with billing.transaction() as session:
        await commands.recall_from_collections(session, case.case_id, by="director")
    again = await sent(billing)
    await billing.deliver(paid("15.00"))
    states = await billing.published(CollectionCaseChanged)
    assert [state.case_id for state in states] == [case.case_id] * 4 + [again.case_id] * 2
    assert [(state.status, state.patient_id, state.balance) for state in states] == [
        ("open", PATIENT, usd("10.00")),
        ("open", PATIENT, usd("15.00")),
        ("open", OTHER_PATIENT, usd("15.00")),
        ("recalled", OTHER_PATIENT, usd("15.00")),
        ("open", OTHER_PATIENT, usd("15.00")),
        ("settled", OTHER_PATIENT, usd("15.00")),
    ]


async def test_a_default_collects_what_was_not_due_yet(billing: Workplace) -> None:
    """The rest of the plan is due at once; what was paid meanwhile is not asked for."""
    invoice, settled = await invoiced(billing, "10.00"), await invoiced(billing, "7.00")
    await billing.deliver(paid("7.00", invoice_id=settled.invoice_id))
    await billing.deliver(defaulted(settled))
    assert await cases(billing) == []
    await billing.deliver(defaulted(invoice))
    assert await cases(billing) == [("instalments_defaulted", "open", Decimal("10.00"))]


async def test_what_is_disputed_is_not_collected(billing: Workplace) -> None:
    """Neither by age nor by decision, until the dispute is decided."""
    invoice = await overdue(billing, "10.00", days=200)
    payment = paid("4.00", invoice_id=invoice.invoice_id)
    await billing.deliver(payment)
    opened, won, _ = disputed(payment, "4.00")
    await billing.deliver(opened)
    await billing.deliver(InvoiceDue(invoice_id=invoice.invoice_id))
    await billing.deliver(defaulted(invoice))
    with pytest.raises(ThereIsNothingToCollect):
        await sent(billing)
    await billing.deliver(won)
    await billing.deliver(InvoiceDue(invoice_id=invoice.invoice_id))
    assert await cases(billing) == [("aged_over_120_days", "open", Decimal("6.00"))]


async def test_a_case_ends_when_all_of_it_is_settled(billing: Workplace) -> None:
    """Paid or written off; opened again, the debt is ours and can be sent anew."""
    first, second = await overdue(billing, "10.00"), await overdue(billing, "5.00")
    await sent(billing)
    payment = paid("10.00", invoice_id=first.invoice_id)
    await billing.deliver(payment)
    assert await cases(billing) == [("by_decision", "open", Decimal("15.00"))]
    async with billing.transaction() as session:
        await commands.write_off(session, second.invoice_id, reason="lost", requested_by="clerk")
    assert [status for _, status, _ in await cases(billing)] == ["settled"]
    await billing.deliver(refunded(payment, "1.00"))
    await sent(billing)
    assert [(status, amount) for _, status, amount in await cases(billing)][1:] == [("open", Decimal("1.00"))]


async def test_a_case_is_recalled_by_decision(billing: Workplace) -> None:
    """Both decisions are in the log; a closed case stays closed."""
    await overdue(billing, "10.00")
    case = await sent(billing)
    async with billing.transaction() as session:
        await commands.recall_from_collections(session, case.case_id, by="director")
    with pytest.raises(CollectionCannotBecome):
        async with billing.transaction() as session:
            await commands.recall_from_collections(session, case.case_id, by="director")
    assert [(action, by) for action, by, _ in await decisions(billing)] == [
        ("sent_to_collections", "manager"),
        ("recalled_from_collections", "director"),
    ]
    assert (await sent(billing)).case_id != case.case_id


async def test_a_case_follows_a_merge(billing: Workplace) -> None:
    """The other patient is in collections then."""
    await billing.deliver(patient(OTHER_PATIENT))
    await overdue(billing, "10.00")
    await sent(billing)
    await billing.deliver(merged(PATIENT, OTHER_PATIENT))
    with pytest.raises(AccountIsInCollectionsAlready):
        await sent(billing)


async def test_debts_are_shown_by_their_age(billing: Workplace) -> None:
    """Per account and per facility, by days past due, per currency."""
    for days, amount in ((-5, "1.00"), (30, "2.00"), (31, "4.00"), (90, "8.00"), (120, "16.00"), (121, "32.00")):
        await invoiced(billing, amount, due_on=TODAY - timedelta(days=days))
    settled = await invoiced(billing, "99.00", due_on=date(2026, 1, 1))
    await billing.deliver(paid("99.00", invoice_id=settled.invoice_id))
    async with billing.client("billing_clerk", at=FACILITY) as clerk:
        of_facility = (await clerk.get(f"/facilities/{FACILITY}/aging")).json()
        of_account = (await clerk.get(f"/accounts/{PATIENT}/aging")).json()
    amounts = {bucket: money["amount"] for bucket, money in of_facility["buckets"]["USD"].items()}
    assert amounts == {"0-30": "3.00", "31-60": "4.00", "61-90": "8.00", "91-120": "16.00", "over 120": "32.00"}
    assert of_account == of_facility
    assert of_facility["on"] == datetime.now(UTC).date().isoformat()
