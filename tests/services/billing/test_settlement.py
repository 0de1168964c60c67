"""What a payment settles, and what is left of it."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from uuid import uuid4

import pytest
from sqlalchemy import func, select

from contracts.billing import CreditCreated, InvoiceChanged, InvoicePaid, InvoicePartiallyPaid
from services.billing import commands
from services.billing.errors import InvoiceIsInAnotherCurrency, InvoiceNotFound
from services.billing.tables import Credit, InvoicePaymentAllocation, Receipt
from tests.services.billing.given import (
    FACILITY,
    NOON,
    OTHER_FACILITY,
    OTHER_PATIENT,
    PATIENT,
    invoice_of,
    invoiced,
    merged,
    paid,
    patient,
    usd,
)
from tests.services.kit import Workplace


async def allocations(billing: Workplace) -> list[InvoicePaymentAllocation]:
    async with billing.transaction() as session:
        return list(await session.scalars(select(InvoicePaymentAllocation)))


async def test_a_payment_settles_the_invoice_that_it_names(billing: Workplace) -> None:
    """The invoice is paid, and every allocation carries the event's id."""
    invoice = await invoiced(billing, "10.00", "5.00")
    event_id = await billing.deliver(paid("15.00", invoice_id=invoice.invoice_id))
    settled = await invoice_of(billing, invoice.invoice_id)
    assert (settled.status, settled.balance, settled.paid_at) == ("paid", usd("0.00"), NOON)
    assert {allocation.source_event_id for allocation in await allocations(billing)} == {event_id}
    [event] = await billing.published(InvoicePaid)
    assert (event.invoice_id, event.patient_id, event.amount, event.paid_at) == (
        invoice.invoice_id,
        PATIENT,
        usd("15.00"),
        NOON,
    )
    assert [state.status for state in await billing.published(InvoiceChanged)] == ["issued", "paid"]


async def test_a_part_settles_the_lines_by_priority(billing: Workplace) -> None:
    """The first line is full before the second gets anything."""
    invoice = await invoiced(billing, "10.00", "5.00")
    await billing.deliver(paid("12.00", invoice_id=invoice.invoice_id))
    partly = await invoice_of(billing, invoice.invoice_id)
    assert [line.balance for line in partly.lines] == [usd("0.00"), usd("3.00")]
    [event] = await billing.published(InvoicePartiallyPaid)
    assert (event.amount, event.balance, partly.status) == (usd("12.00"), usd("3.00"), "partially_paid")
    assert event.paid_at == NOON


async def test_what_is_paid_too_much_is_credit(billing: Workplace) -> None:
    """It stays with the patient, even where another invoice is open: the payer named one."""
    other = await invoiced(billing, "50.00", due_on=date(2026, 1, 1))
    invoice = await invoiced(billing, "77.49")
    payment = paid("80.00", invoice_id=invoice.invoice_id)
    await billing.deliver(payment)
    [event] = await billing.published(CreditCreated)
    assert (event.amount, event.invoice_id, event.payment_id, event.patient_id) == (
        usd("2.51"),
        invoice.invoice_id,
        payment.payment_id,
        PATIENT,
    )
    assert event.created_at == payment.succeeded_at
    assert (await invoice_of(billing, other.invoice_id)).balance == usd("50.00")


async def test_money_on_account_settles_the_oldest_due_first(billing: Workplace) -> None:
    """Then the next, then it is credit; invoices of others are left alone."""
    await billing.deliver(patient(OTHER_PATIENT))
    others = await invoiced(billing, "10.00", due_on=date(2026, 1, 1), patient_id=OTHER_PATIENT)
    late = await invoiced(billing, "10.00", due_on=date(2026, 6, 1))
    early = await invoiced(billing, "10.00", due_on=date(2026, 5, 1))
    await billing.deliver(paid("14.00"))
    balances = [(await invoice_of(billing, each.invoice_id)).balance for each in (early, late, others)]
    assert balances == [usd("0.00"), usd("6.00"), usd("10.00")]
    await billing.deliver(paid("7.00"))
    assert [event.amount for event in await billing.published(CreditCreated)] == [usd("1.00")]


async def test_an_invoices_state_says_which_payments_it_takes_into_account(billing: Workplace) -> None:
    """Also one that settles nothing of it: payment then knows that the balance is not too high any more."""
    invoice = await invoiced(billing, "10.00")
    payments = [paid("10.00", invoice_id=invoice.invoice_id) for _ in range(2)]
    for payment in payments:
        await billing.deliver(payment)
    states = [state for state in await billing.published(InvoiceChanged) if state.invoice_id == invoice.invoice_id]
    told = [state.payments for state in states[-3:]]
    assert told == [(), (payments[0].payment_id,), tuple(payment.payment_id for payment in payments)]


async def test_money_for_a_voided_invoice_is_credit(billing: Workplace) -> None:
    """It has arrived: it is never refused."""
    invoice = await invoiced(billing, "10.00")
    async with billing.transaction() as session:
        await commands.void_invoice(session, invoice.invoice_id, "wrong", by="clerk")
    await billing.deliver(paid("10.00", invoice_id=invoice.invoice_id))
    assert [event.amount for event in await billing.published(CreditCreated)] == [usd("10.00")]


async def test_money_for_an_invoice_that_does_not_exist_is_for_a_person_to_look_at(billing: Workplace) -> None:
    """A rule by name, and nothing is booked."""
    with pytest.raises(InvoiceNotFound):
        await billing.deliver(paid("10.00", invoice_id=uuid4()))
    async with billing.transaction() as session:
        assert await session.scalar(select(func.count()).select_from(Receipt)) == 0


async def test_money_in_another_currency_settles_nothing(billing: Workplace) -> None:
    """A rule by name."""
    invoice = await invoiced(billing, "10.00")
    with pytest.raises(InvoiceIsInAnotherCurrency):
        await billing.deliver(paid("10.00", invoice_id=invoice.invoice_id, currency="EUR"))


async def test_every_receipt_is_allocated_or_credited_to_the_cent(billing: Workplace) -> None:
    """Receipts = allocations + credits, whatever is paid on whatever."""
    first = await invoiced(billing, "33.33", "0.00", "66.67")
    second = await invoiced(billing, "12.34", due_on=date(2026, 1, 1))
    for amount, invoice in (("50.00", first), ("20.00", None), ("70.00", first), ("0.01", second), ("9.99", None)):
        await billing.deliver(paid(amount, invoice_id=invoice.invoice_id if invoice else None))
    async with billing.transaction() as session:
        received = await session.scalar(select(func.sum(Receipt.amount)))
        allocated = await session.scalar(select(func.sum(InvoicePaymentAllocation.amount))) or Decimal(0)
        credited = await session.scalar(select(func.sum(Credit.amount))) or Decimal(0)
    assert received == Decimal("150.00") == allocated + credited
    for invoice in (first, second):
        now = await invoice_of(billing, invoice.invoice_id)
        of_invoice = [each.amount for each in await allocations(billing) if each.invoice_id == now.invoice_id]
        assert now.balance == now.total - usd(str(sum(of_invoice, Decimal(0))))
    assert first.facility_id == FACILITY


async def test_a_payment_that_took_effect_twice_would_show(billing: Workplace) -> None:
    """Nothing but the inbox keeps an event single: taken twice, its id stands on two receipts."""
    invoice = await invoiced(billing, "10.00")
    payment, event_id = paid("10.00", invoice_id=invoice.invoice_id), uuid4()
    await billing.deliver(payment, id_=event_id)
    await billing.deliver(payment, id_=event_id)
    async with billing.transaction() as session:
        assert list(await session.scalars(select(Receipt.source_event_id))) == [event_id, event_id]


async def test_money_that_names_an_invoice_of_another_house_or_patient_settles_nothing(billing: Workplace) -> None:
    """It is the credit of whom it came for, where it came, until a person has looked at it."""
    await billing.deliver(patient(OTHER_PATIENT))
    invoice = await invoiced(billing, "10.00")
    elsewhere = paid("10.00", invoice_id=invoice.invoice_id).model_copy(update={"facility_id": OTHER_FACILITY})
    await billing.deliver(elsewhere)
    await billing.deliver(paid("7.00", invoice_id=invoice.invoice_id, patient_id=OTHER_PATIENT))
    assert (await invoice_of(billing, invoice.invoice_id)).balance == usd("10.00")
    credited = [(event.patient_id, event.facility_id, event.amount) for event in await billing.published(CreditCreated)]
    assert credited == [(PATIENT, OTHER_FACILITY, usd("10.00")), (OTHER_PATIENT, FACILITY, usd("7.00"))]


async def test_money_for_an_invoice_follows_a_merge(billing: Workplace) -> None:
    """Whichever of the two it came for."""
    await billing.deliver(patient(OTHER_PATIENT))
    invoice = await invoiced(billing, "10.00")
    await billing.deliver(merged(PATIENT, OTHER_PATIENT))
    for patient_id in (PATIENT, OTHER_PATIENT):
        await billing.deliver(paid("5.00", invoice_id=invoice.invoice_id, patient_id=patient_id))
    assert (await invoice_of(billing, invoice.invoice_id)).status == "paid"
