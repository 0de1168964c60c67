"""Issued, imported, overdue, voided, written off."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime
from uuid import uuid4

import pytest
from sqlalchemy import select

from broker import clock
from contracts.billing import AdjustmentPosted, InvoiceDue, InvoiceIssued, InvoiceOverdue, InvoicePaid, InvoiceVoided
from services.billing import commands, rules
from services.billing.errors import (
    InvoiceCannotBecome,
    InvoiceNotFound,
    LargeWriteOffNeedsASecondApprover,
    OnlyAnUnallocatedInvoiceCanBeVoided,
    ReferenceBelongsToAnotherInvoice,
)
from services.billing.tables import Charge, Invoice
from tests.services.billing.given import (
    FACILITY,
    GLUCOSE,
    OTHER_FACILITY,
    PATIENT,
    completed,
    facility,
    invoice_of,
    invoiced,
    paid,
    priced,
    scheduled,
    usd,
)
from tests.services.kit import Workplace


async def test_an_imported_invoice_is_issued_once(billing: Workplace) -> None:
    """The same external reference again gives the invoice there is."""
    first = await invoiced(billing, "77.49", "5.00", reference="claim 1")
    again = await invoiced(billing, "77.49", "5.00", reference="claim 1")
    assert first.invoice_id == again.invoice_id
    assert (first.total, first.status, first.number) == (usd("82.49"), "issued", "INV-000001")


async def test_two_houses_may_use_the_same_reference(billing: Workplace) -> None:
    """Each names its own invoices; the same again, at either, gives the one there is."""
    await billing.deliver(facility(facility_id=OTHER_FACILITY))
    ours, theirs, again = [
        await invoiced(billing, amount, reference="claim 1", facility_id=house)
        for amount, house in (("77.49", FACILITY), ("5.00", OTHER_FACILITY), ("5.00", OTHER_FACILITY))
    ]
    assert (ours.total, theirs.total) == (usd("77.49"), usd("5.00"))
    assert again.invoice_id == theirs.invoice_id != ours.invoice_id


async def test_an_external_reference_means_one_invoice(billing: Workplace) -> None:
    """With other amounts it is refused."""
    await invoiced(billing, "77.49", reference="claim 1")
    with pytest.raises(ReferenceBelongsToAnotherInvoice):
        await invoiced(billing, "77.50", reference="claim 1")


async def test_an_invoice_over_nothing_is_settled_when_it_is_issued(billing: Workplace) -> None:
    """It is paid, and nothing falls due."""
    invoice = await invoiced(billing, "0.00")
    assert invoice.status == "paid"
    assert [event.amount for event in await billing.published(InvoicePaid)] == [usd("0.00")]
    assert await scheduled(billing) == {}


async def test_invoice_numbers_have_no_gap_and_no_double(billing: Workplace) -> None:
    """Also when many are issued at once and some of them fail."""

    async def one(number: int) -> None:
        imported = rules.ImportedInvoice(
            external_reference=f"claim {number}",
            patient_id=PATIENT,
            facility_id=FACILITY,
            lines=(rules.ImportedLine(code="a", description="", amount=usd("1.00")),),
        )
        async with billing.transaction() as session:
            await commands.import_invoice(session, imported)
            if number % 3 == 0:
                raise RuntimeError

    await asyncio.gather(*(one(number) for number in range(12)), return_exceptions=True)
    async with billing.transaction() as session:
        numbers = list(await session.scalars(select(Invoice.number).order_by(Invoice.number)))
    assert numbers == [f"INV-{number:06d}" for number in range(1, 9)]


async def test_an_imported_invoice_is_as_old_as_it_is(billing: Workplace) -> None:
    """It was issued when the other system issued it, which others hear; the terms run from today."""
    issued_at = datetime(2019, 5, 6, 7, 8, tzinfo=UTC)
    imported = rules.ImportedInvoice(
        external_reference="claim 1",
        patient_id=PATIENT,
        facility_id=FACILITY,
        lines=(rules.ImportedLine(code="a", description="", amount=usd("1.00")),),
        issued_at=issued_at,
    )
    async with billing.transaction() as session:
        await commands.import_invoice(session, imported)
    [event] = await billing.published(InvoiceIssued)
    assert (event.issued_at, event.due_on) == (issued_at, rules.due_after(clock.now().date()))


async def test_an_invoice_becomes_overdue_after_its_due_date(billing: Workplace) -> None:
    """The scheduled event finds money open and says so."""
    invoice = await invoiced(billing, "10.00", due_on=date(2026, 4, 1))
    assert await scheduled(billing) == {f"invoice {invoice.invoice_id} due": datetime(2026, 4, 2, tzinfo=UTC)}
    await billing.deliver(InvoiceDue(invoice_id=invoice.invoice_id))
    assert (await invoice_of(billing, invoice.invoice_id)).status == "overdue"
    [event] = await billing.published(InvoiceOverdue)
    assert (event.balance, event.due_on) == (usd("10.00"), date(2026, 4, 1))


async def test_a_settled_invoice_does_not_become_overdue(billing: Workplace) -> None:
    """Nothing falls due any more; an event that was already on its way changes nothing."""
    invoice = await invoiced(billing, "10.00")
    await billing.deliver(paid("10.00", invoice_id=invoice.invoice_id))
    assert await scheduled(billing) == {}
    await billing.deliver(InvoiceDue(invoice_id=invoice.invoice_id))
    assert (await invoice_of(billing, invoice.invoice_id)).status == "paid"
    assert await billing.published(InvoiceOverdue) == []


async def test_a_voided_invoice_frees_its_charges(billing: Workplace) -> None:
    """They are open again and can be invoiced anew, under the next number."""
    await priced(billing, GLUCOSE, "12.50")
    await billing.deliver(completed(GLUCOSE))
    async with billing.transaction() as session:
        wrong = await commands.issue_invoice(session, patient_id=PATIENT, facility_id=FACILITY)
    async with billing.transaction() as session:
        await commands.void_invoice(session, wrong.invoice_id, "wrong payer", by="clerk")
    assert [event.reason for event in await billing.published(InvoiceVoided)] == ["wrong payer"]
    assert await scheduled(billing) == {}
    async with billing.transaction() as session:
        assert list(await session.scalars(select(Charge.status))) == ["open"]
        right = await commands.issue_invoice(session, patient_id=PATIENT, facility_id=FACILITY)
    assert (right.number, right.total) == ("INV-000002", usd("12.50"))


async def test_an_invoice_that_was_paid_on_cannot_be_voided(billing: Workplace) -> None:
    """It stays as it is."""
    invoice = await invoiced(billing, "10.00")
    await billing.deliver(paid("0.01", invoice_id=invoice.invoice_id))
    with pytest.raises(OnlyAnUnallocatedInvoiceCanBeVoided):
        async with billing.transaction() as session:
            await commands.void_invoice(session, invoice.invoice_id, "too late", by="clerk")


async def test_an_unknown_invoice_is_not_found(billing: Workplace) -> None:
    """By name."""
    with pytest.raises(InvoiceNotFound):
        async with billing.transaction() as session:
            await commands.void_invoice(session, uuid4(), "no such thing", by="clerk")


async def test_an_adjustment_lowers_the_balance(billing: Workplace) -> None:
    """And settles the invoice when nothing is left."""
    invoice = await invoiced(billing, "10.00", "5.00")
    await billing.deliver(paid("9.00", invoice_id=invoice.invoice_id))
    async with billing.transaction() as session:
        await commands.post_adjustment(session, invoice.invoice_id, usd("6.00"), reason="goodwill", posted_by="clerk")
    adjusted = await invoice_of(billing, invoice.invoice_id)
    assert (adjusted.status, adjusted.balance, adjusted.adjusted) == ("paid", usd("0.00"), usd("6.00"))
    assert [line.balance for line in adjusted.lines] == [usd("0.00"), usd("0.00")]
    assert [event.amount for event in await billing.published(AdjustmentPosted)] == [usd("6.00")]
    assert [event.amount for event in await billing.published(InvoicePaid)] == [usd("9.00")]


async def test_a_written_off_invoice_has_no_balance(billing: Workplace) -> None:
    """What was open is an adjustment, and the end of it."""
    invoice = await invoiced(billing, "100.00")
    async with billing.transaction() as session:
        await commands.write_off(session, invoice.invoice_id, reason="unreachable", requested_by="clerk")
    given_up = await invoice_of(billing, invoice.invoice_id)
    assert (given_up.status, given_up.balance) == ("written_off", usd("0.00"))
    with pytest.raises(InvoiceCannotBecome):
        async with billing.transaction() as session:
            await commands.write_off(session, invoice.invoice_id, reason="again", requested_by="clerk")


async def test_a_large_write_off_needs_two_people(billing: Workplace) -> None:
    """One alone is refused and nothing changes; with a second it is done."""
    invoice = await invoiced(billing, "500.01")
    with pytest.raises(LargeWriteOffNeedsASecondApprover):
        async with billing.transaction() as session:
            await commands.write_off(session, invoice.invoice_id, reason="lost", requested_by="clerk")
    async with billing.transaction() as session:
        await commands.write_off(session, invoice.invoice_id, reason="lost", requested_by="clerk", approved_by="manager")
    assert (await invoice_of(billing, invoice.invoice_id)).status == "written_off"
