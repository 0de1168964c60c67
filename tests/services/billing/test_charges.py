"""From a completed order to a charge, and from charges to an invoice."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select

from broker import NotYet
from contracts.billing import InvoiceChanged, InvoiceIssued
from contracts.money import Money
from services.billing import commands
from services.billing.errors import FacilityIsNotActive, FacilityPricesInOneCurrency, ThereIsNothingToInvoice
from services.billing.tables import BillingAccount, Charge, Invoice
from tests.services.billing.given import (
    ENCOUNTER,
    FACILITY,
    GLUCOSE,
    OTHER_FACILITY,
    PATIENT,
    SODIUM,
    completed,
    discharged,
    facility,
    invoiced,
    patient,
    performed,
    priced,
    registered,
    usd,
)
from tests.services.kit import Workplace

NEW_YEAR = date(2026, 1, 1)


async def charges(billing: Workplace) -> list[Charge]:
    async with billing.transaction() as session:
        return list(await session.scalars(select(Charge).order_by(Charge.position)))


async def invoices(billing: Workplace) -> list[Invoice]:
    async with billing.transaction() as session:
        return list(await session.scalars(select(Invoice).order_by(Invoice.number)))


async def issue(billing: Workplace, patient_id: UUID = PATIENT, facility_id: UUID = FACILITY) -> Invoice:
    async with billing.transaction() as session:
        return await commands.issue_invoice(session, patient_id=patient_id, facility_id=facility_id)


async def test_a_registered_patient_has_an_account(billing: Workplace) -> None:
    """One, however often the event comes."""
    await billing.deliver(registered(PATIENT))
    await billing.deliver(registered(PATIENT))
    async with billing.transaction() as session:
        accounts = list(await session.scalars(select(BillingAccount)))
    assert [(account.patient_id, account.facility_id) for account in accounts] == [(PATIENT, FACILITY)]


async def test_each_test_of_a_completed_order_is_charged(billing: Workplace) -> None:
    """At the facility's price of the day, with the id of the event that caused it."""
    await priced(billing, GLUCOSE, "12.50")
    await priced(billing, SODIUM, "8.00")
    event_id = await billing.deliver(completed(GLUCOSE, SODIUM))
    found = await charges(billing)
    assert [(charge.code, charge.price, charge.status) for charge in found] == [
        (GLUCOSE, usd("12.50"), "open"),
        (SODIUM, usd("8.00"), "open"),
    ]
    assert {charge.source_event_id for charge in found} == {event_id}


async def test_a_charge_has_the_price_of_its_day(billing: Workplace) -> None:
    """A price that begins later does not count."""
    await priced(billing, GLUCOSE, "10.00", since=date(2026, 1, 1))
    await priced(billing, GLUCOSE, "11.00", since=date(2026, 3, 1))
    await billing.deliver(completed(GLUCOSE, at=datetime(2026, 2, 28, 23, tzinfo=UTC)))
    assert [charge.price for charge in await charges(billing)] == [usd("10.00")]


async def test_a_charge_without_a_price_is_on_no_invoice_until_it_has_one(billing: Workplace) -> None:
    """It waits as unpriced; its price opens it."""
    await priced(billing, GLUCOSE, "12.50")
    await billing.deliver(completed(GLUCOSE, SODIUM))
    assert (await issue(billing)).total == usd("12.50")
    assert [charge.status for charge in await charges(billing)] == ["invoiced", "unpriced"]
    await priced(billing, SODIUM, "8.00")
    assert (await issue(billing)).total == usd("8.00")


async def test_an_order_of_an_unknown_patient_waits(billing: Workplace) -> None:
    """Nothing is charged; the message waits for the patient's reference."""
    stranger = uuid4()
    with pytest.raises(NotYet) as waits:
        await billing.deliver(completed(GLUCOSE, patient_id=stranger))
    assert waits.value.key == str(stranger)
    assert await charges(billing) == []
    await billing.deliver(patient(stranger))
    await billing.deliver(completed(GLUCOSE, patient_id=stranger))
    assert len(await charges(billing)) == 1


async def test_a_discharged_encounter_is_invoiced(billing: Workplace) -> None:
    """With one line for each of its charges, and nothing of other visits."""
    await priced(billing, GLUCOSE, "12.50")
    await billing.deliver(completed(GLUCOSE, encounter_id=ENCOUNTER))
    await billing.deliver(completed(GLUCOSE))
    await billing.deliver(discharged())
    [invoice] = await invoices(billing)
    assert (invoice.encounter_id, invoice.total, invoice.status, len(invoice.lines)) == (
        ENCOUNTER,
        usd("12.50"),
        "issued",
        1,
    )
    [event] = await billing.published(InvoiceIssued)
    assert (event.invoice_id, event.total, event.number) == (invoice.invoice_id, usd("12.50"), "INV-000001")


async def test_what_is_charged_after_the_discharge_is_invoiced_at_once(billing: Workplace) -> None:
    """A late result does not wait for somebody to notice; nor does a late price."""
    await priced(billing, GLUCOSE, "12.50")
    await billing.deliver(discharged())
    await billing.deliver(completed(GLUCOSE, SODIUM, encounter_id=ENCOUNTER))
    await priced(billing, SODIUM, "8.00")
    assert [invoice.total for invoice in await invoices(billing)] == [usd("12.50"), usd("8.00")]


async def test_a_discharge_without_charges_makes_no_invoice(billing: Workplace) -> None:
    """Nothing is sent over nothing."""
    await billing.deliver(discharged())
    assert await invoices(billing) == []


async def test_there_must_be_something_to_invoice(billing: Workplace) -> None:
    """Asked for the invoice of nothing, it says so, and no number is lost."""
    await priced(billing, GLUCOSE, "12.50")
    with pytest.raises(ThereIsNothingToInvoice):
        await issue(billing)
    await billing.deliver(completed(GLUCOSE))
    assert (await issue(billing)).number == "INV-000001"


async def test_an_invoice_publishes_its_state(billing: Workplace) -> None:
    """One state per transaction: as it is at the end of it."""
    await priced(billing, GLUCOSE, "12.50")
    await billing.deliver(completed(GLUCOSE))
    invoice = await issue(billing)
    [state] = await billing.published(InvoiceChanged)
    assert (state.invoice_id, state.status, state.total, state.balance) == (
        invoice.invoice_id,
        "issued",
        usd("12.50"),
        usd("12.50"),
    )


async def test_a_facility_prices_in_one_currency(billing: Workplace) -> None:
    """A second currency at one facility is refused; another facility may have it."""
    await priced(billing, GLUCOSE, "12.50")
    euros = {"code": SODIUM, "price": Money.of("8.00", "EUR"), "effective_from": date(2026, 1, 1)}
    async with billing.transaction() as session:
        await commands.set_price(session, facility_id=OTHER_FACILITY, **euros)  # type: ignore[arg-type]
    with pytest.raises(FacilityPricesInOneCurrency):
        async with billing.transaction() as session:
            await commands.set_price(session, facility_id=FACILITY, **euros)  # type: ignore[arg-type]


async def test_a_charge_that_comes_while_its_price_is_set_has_it(billing: Workplace) -> None:
    """It waits for the price, which did not see it, and is invoiced with it."""
    await billing.deliver(discharged())
    async with asyncio.TaskGroup() as group, billing.transaction() as session:
        await commands.set_price(session, facility_id=FACILITY, code=GLUCOSE, price=usd("12.50"), effective_from=NEW_YEAR)
        group.create_task(billing.deliver(completed(GLUCOSE, encounter_id=ENCOUNTER)))
        await billing.somebody_waits()
    assert [invoice.total for invoice in await invoices(billing)] == [usd("12.50")]


async def test_a_price_that_is_set_while_a_charge_comes_opens_it(billing: Workplace) -> None:
    """It waits for the charge, which did not see it, and the charge is invoiced with it."""
    await billing.deliver(discharged())
    async with asyncio.TaskGroup() as group, billing.transaction() as session:
        await commands.capture_charges(session, completed(GLUCOSE, encounter_id=ENCOUNTER), uuid4())
        group.create_task(priced(billing, GLUCOSE, "12.50"))
        await billing.somebody_waits()
    assert [invoice.total for invoice in await invoices(billing)] == [usd("12.50")]


async def test_two_currencies_are_not_set_at_once_either(billing: Workplace) -> None:
    """The second waits for the first, and is refused."""
    euros = Money.of("8.00", "EUR")
    async with billing.transaction() as session:
        await commands.set_price(session, facility_id=FACILITY, code=GLUCOSE, price=euros, effective_from=NEW_YEAR)
        second = asyncio.ensure_future(priced(billing, SODIUM, "8.00"))
        await billing.somebody_waits()
    with pytest.raises(FacilityPricesInOneCurrency):
        await second


async def test_a_procedure_is_charged(billing: Workplace) -> None:
    """Once, at the price of its day, and it stands on the encounter's invoice beside the tests."""
    await priced(billing, GLUCOSE, "12.50")
    await priced(billing, "12001", "90.00")
    event_id = await billing.deliver(performed("12001", encounter_id=ENCOUNTER))
    await billing.deliver(completed(GLUCOSE, encounter_id=ENCOUNTER))
    assert {charge.source_event_id for charge in await charges(billing) if charge.procedure_id} == {event_id}
    await billing.deliver(discharged())
    [invoice] = await invoices(billing)
    assert (invoice.total, sorted(line.code for line in invoice.lines)) == (usd("102.50"), ["12001", GLUCOSE])


async def test_at_an_inactive_facility_no_invoice_is_issued(billing: Workplace) -> None:
    """Neither of charges nor of what another system calculated."""
    await priced(billing, GLUCOSE, "12.50")
    await billing.deliver(completed(GLUCOSE))
    await billing.deliver(facility("inactive", version=2))
    with pytest.raises(FacilityIsNotActive):
        await issue(billing)
    with pytest.raises(FacilityIsNotActive):
        await invoiced(billing, "10.00")


async def test_a_discharge_at_an_inactive_facility_is_invoiced_later(billing: Workplace) -> None:
    """The charges stay open until the facility is active again; then they are invoiced without being asked for."""
    await priced(billing, GLUCOSE, "12.50")
    await billing.deliver(facility("inactive", version=2))
    await billing.deliver(completed(GLUCOSE, encounter_id=ENCOUNTER))
    await billing.deliver(completed(GLUCOSE))
    await billing.deliver(discharged())
    assert await invoices(billing) == []
    await billing.deliver(facility("active", version=3))
    assert [invoice.encounter_id for invoice in await invoices(billing)] == [ENCOUNTER]
    await billing.deliver(facility("active", version=4))
    assert len(await invoices(billing)) == 1


async def test_a_facility_that_was_active_long_ago_issues_nothing(billing: Workplace) -> None:
    """A state that was overtaken on its way changes nothing."""
    await priced(billing, GLUCOSE, "12.50")
    await billing.deliver(facility("inactive", version=3))
    await billing.deliver(completed(GLUCOSE, encounter_id=ENCOUNTER))
    await billing.deliver(discharged())
    await billing.deliver(facility("active", version=2))
    assert await invoices(billing) == []


async def test_a_discharge_waits_for_a_facility_that_is_not_known(billing: Workplace) -> None:
    """The message waits for the facility's reference."""
    elsewhere = uuid4()
    visit = discharged().model_copy(update={"facility_id": elsewhere})
    with pytest.raises(NotYet) as waits:
        await billing.deliver(visit)
    assert waits.value.key == str(elsewhere)
