"""Nobody is asked for an encounter that did not take place."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest
from sqlalchemy import select

from contracts.billing import InvoiceVoided
from services.billing import commands
from services.billing.errors import OnlyAHeldChargeIsDecided, ThereIsNothingToInvoice
from services.billing.rules import ChargeStatus
from services.billing.tables import Charge, Invoice
from tests.services.billing.given import (
    ENCOUNTER,
    FACILITY,
    GLUCOSE,
    PATIENT,
    SODIUM,
    cancelled,
    completed,
    decisions,
    discharged,
    invoice_of,
    paid,
    priced,
    usd,
)
from tests.services.kit import Workplace


@pytest.fixture(autouse=True)
async def prices(billing: Workplace) -> None:
    await priced(billing, GLUCOSE, "12.50")


async def states(billing: Workplace) -> list[ChargeStatus]:
    async with billing.transaction() as session:
        return list(await session.scalars(select(Charge.status).order_by(Charge.service_date, Charge.code)))


async def charge(billing: Workplace) -> Charge:
    async with billing.transaction() as session:
        return (await session.scalars(select(Charge))).one()


async def issue(billing: Workplace) -> Invoice:
    async with billing.transaction() as session:
        return await commands.issue_invoice(session, patient_id=PATIENT, facility_id=FACILITY, encounter_id=ENCOUNTER)


async def the_invoice(billing: Workplace) -> Invoice:
    async with billing.transaction() as session:
        return (await session.scalars(select(Invoice))).one()


async def to_be_taken_back(billing: Workplace) -> list[str]:
    """The invoices that a person has to look at."""
    async with billing.client("billing_clerk", at=FACILITY) as clerk:
        shown = (await clerk.get("/invoices", params={"of_cancelled": True})).json()
    return [invoice["invoice_id"] for invoice in shown["items"]]


@pytest.mark.parametrize("order", ["charged cancelled", "cancelled charged", "cancelled cancelled charged discharged"])
async def test_charges_of_a_cancelled_encounter_are_held(billing: Workplace, order: str) -> None:
    """Whatever comes first; those of other visits are not."""
    happens = {
        "charged": completed(GLUCOSE, encounter_id=ENCOUNTER),
        "cancelled": cancelled(),
        "discharged": discharged(),
    }
    for step in order.split():
        await billing.deliver(happens[step])
    await billing.deliver(completed(GLUCOSE))
    assert sorted(await states(billing)) == ["held", "open"]
    with pytest.raises(ThereIsNothingToInvoice):
        await issue(billing)


async def test_a_price_that_comes_late_does_not_open_what_is_held(billing: Workplace) -> None:
    """A charge that waits for its price is held when it has one, also of an encounter that had been discharged."""
    await billing.deliver(completed(SODIUM, encounter_id=ENCOUNTER))
    await billing.deliver(discharged())
    await billing.deliver(cancelled())
    assert await states(billing) == ["unpriced"]
    await priced(billing, SODIUM, "8.00")
    assert await states(billing) == ["held"]


async def test_the_invoice_of_a_cancelled_encounter_is_voided(billing: Workplace) -> None:
    """When nothing was paid on it: an encounter that was entered in error may have been discharged before."""
    await billing.deliver(completed(GLUCOSE, encounter_id=ENCOUNTER))
    await billing.deliver(discharged())
    await billing.deliver(cancelled())
    invoice = await the_invoice(billing)
    assert (invoice.status, await states(billing)) == ("void", ["held"])
    assert [event.invoice_id for event in await billing.published(InvoiceVoided)] == [invoice.invoice_id]
    assert await decisions(billing) == [("invoice_voided", "billing", Decimal("12.50"))]
    assert await to_be_taken_back(billing) == []


async def test_what_was_paid_for_a_cancelled_encounter_is_shown_to_a_person(billing: Workplace) -> None:
    """Who takes it back by a credit note, after which it is shown no more."""
    await billing.deliver(completed(GLUCOSE, encounter_id=ENCOUNTER))
    await billing.deliver(discharged())
    invoice = await the_invoice(billing)
    await billing.deliver(paid("2.50", invoice_id=invoice.invoice_id))
    assert await to_be_taken_back(billing) == []
    await billing.deliver(cancelled())
    assert (await invoice_of(billing, invoice.invoice_id)).status == "partially_paid"
    assert await to_be_taken_back(billing) == [str(invoice.invoice_id)]
    async with billing.transaction() as session:
        await commands.issue_credit_note(session, invoice.invoice_id, usd("12.50"), reason="never was", by="manager")
    assert await to_be_taken_back(billing) == []


async def test_a_person_decides_on_what_is_held(billing: Workplace) -> None:
    """What was done all the same is released and invoiced; what was not is withdrawn; each is decided once, and logged."""
    await billing.deliver(completed(GLUCOSE, encounter_id=ENCOUNTER))
    await billing.deliver(cancelled())
    async with billing.client("billing_manager", at=FACILITY, subject="manager") as manager:
        path = f"/charges/{(await charge(billing)).charge_id}"
        assert (await manager.post(f"{path}/release")).json()["status"] == "open"
        assert (await manager.post(f"{path}/withdraw")).status_code == 409
    invoice = await issue(billing)
    async with billing.transaction() as session:
        await commands.void_invoice(session, invoice.invoice_id, "wrong", by="manager")
    assert await states(billing) == ["held"]
    async with billing.transaction() as session:
        await commands.withdraw_charge(session, (await charge(billing)).charge_id, by="manager")
    assert await states(billing) == ["withdrawn"]
    actions = [(action, by) for action, by, _ in await decisions(billing)]
    assert actions == [("charge_released", "manager"), ("invoice_voided", "manager"), ("charge_withdrawn", "manager")]


@pytest.mark.parametrize("status", ["unpriced", "invoiced"])
async def test_only_what_is_held_is_decided(billing: Workplace, status: ChargeStatus) -> None:
    """What waits for a price or is invoiced is not released by a decision."""
    await billing.deliver(completed(GLUCOSE if status == "invoiced" else SODIUM, encounter_id=ENCOUNTER))
    await billing.deliver(discharged())
    assert await states(billing) == [status]
    with pytest.raises(OnlyAHeldChargeIsDecided):
        async with billing.transaction() as session:
            await commands.release_charge(session, (await charge(billing)).charge_id, by="manager")


async def test_a_cancellation_waits_for_whoever_is_invoicing(billing: Workplace) -> None:
    """An invoice that a person issues at the same time is voided too."""
    await billing.deliver(completed(GLUCOSE, encounter_id=ENCOUNTER))
    async with billing.transaction() as session:
        await commands.issue_invoice(session, patient_id=PATIENT, facility_id=FACILITY, encounter_id=ENCOUNTER)
        cancelling = asyncio.create_task(billing.deliver(cancelled()))
        await billing.somebody_waits()
    await cancelling
    assert ((await the_invoice(billing)).status, await states(billing)) == ("void", ["held"])
