"""Prices, and what services given to patients cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import NamedTuple
from uuid import UUID, uuid4

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from broker import Later
from contracts.clinical import ProcedurePerformed
from contracts.facility import FacilityChanged
from contracts.lab import LabOrderCompleted
from contracts.money import Money
from services.billing import rules
from services.billing.commands.accounts import account_of
from services.billing.commands.days import day_at
from services.billing.commands.invoices import invoice_if_active, invoice_what_is_open
from services.billing.errors import FacilityPricesInOneCurrency
from services.billing.replicas import FacilityReference
from services.billing.tables import BillingAccount, Charge, ChargeMasterPrice, EncounterBill


class Service(NamedTuple):
    """What was done, as the charge master knows it."""

    code: str
    description: str


class Visit(NamedTuple):
    """For whom it was recorded, where and when."""

    patient_id: UUID
    facility_id: UUID
    encounter_id: UUID | None
    on: date


async def set_price(
    session: AsyncSession,
    *,
    facility_id: UUID,
    code: str,
    price: Money,
    effective_from: date,
    effective_to: date | None = None,
) -> None:
    """Sets what a service costs from a day on; charges that waited for this price become open.

    Raises PriceEndsBeforeItBegins, FacilityPricesInOneCurrency.
    """
    rules.check_period(effective_from, effective_to)
    await ChargeMasterPrice.frozen(session, facility_id, alone=True)
    await _check_currency(session, facility_id, price.currency)
    says = {"amount": price.amount, "currency": price.currency, "effective_to": effective_to}
    begins = {"facility_id": facility_id, "code": code, "effective_from": effective_from}
    row = insert(ChargeMasterPrice).values(price_id=uuid4(), **begins, **says)
    await session.execute(row.on_conflict_do_update(index_elements=list(begins), set_=says))
    await _price_what_waited(session, facility_id, code)


async def capture_charges(session: AsyncSession, order: LabOrderCompleted, source_event_id: UUID) -> None:
    """One charge for each test of the order, at the price of its facility and day. Raises NotYet."""
    services = [Service(test.code, test.name) for test in order.tests]
    on = await day_at(session, order.facility_id, order.completed_at)
    visit = Visit(order.recorded_for or order.patient_id, order.facility_id, order.encounter_id, on)
    await _capture(session, visit, services, source_event_id, order_id=order.order_id)


async def capture_procedure(session: AsyncSession, procedure: ProcedurePerformed, source_event_id: UUID) -> None:
    """One charge for what was done, at the price of its facility and day. Raises NotYet."""
    service = Service(procedure.code, procedure.description)
    on = await day_at(session, procedure.facility_id, procedure.performed_at)
    visit = Visit(procedure.recorded_for or procedure.patient_id, procedure.facility_id, procedure.encounter_id, on)
    await _capture(session, visit, [service], source_event_id, procedure_id=procedure.procedure_id)


async def bill_encounter(
    session: AsyncSession, encounter_id: UUID, patient_id: UUID, facility_id: UUID, discharged_at: datetime
) -> None:
    """Invoices what an encounter cost, now that it is over; what is charged later gets an invoice of its own.

    While its facility is not active, the charges stay open. Raises NotYet.
    """
    account = await account_of(session, patient_id)
    encounter = await EncounterBill.locked(session, encounter_id)
    encounter.discharged_at = discharged_at
    await invoice_if_active(session, account.patient_id, facility_id, encounter_id)


async def invoice_what_waited(session: AsyncSession, facility: FacilityChanged) -> None:
    """Invoices the encounters that ended while their facility was not active, now that it is again.

    Raises Later while the replica does not say so: until then, more of them may be left open.
    """
    known = await FacilityReference.require(session, facility.facility_id)
    if known.state_version < facility.state_version:
        raise Later(f"facility {facility.facility_id} is behind")
    if known.status != "active":
        return
    facility_id = facility.facility_id
    ended = select(EncounterBill.encounter_id, Charge.patient_id).join(
        Charge, Charge.encounter_id == EncounterBill.encounter_id
    )
    waiting = ended.where(Charge.facility_id == facility_id, Charge.status == "open", EncounterBill.discharged_at.is_not(None))
    for encounter_id, patient_id in (await session.execute(waiting.distinct().order_by(EncounterBill.encounter_id))).all():
        account = await account_of(session, patient_id)
        await EncounterBill.locked(session, encounter_id)
        await invoice_what_is_open(session, account.patient_id, facility_id, encounter_id)


async def _capture(
    session: AsyncSession,
    visit: Visit,
    services: Sequence[Service],
    source_event_id: UUID,
    *,
    order_id: UUID | None = None,
    procedure_id: UUID | None = None,
) -> None:
    prices = await _prices(session, visit, {service.code for service in services})
    account = await account_of(session, visit.patient_id)
    encounter = await EncounterBill.locked(session, visit.encounter_id) if visit.encounter_id else None
    charges = []
    for position, service in enumerate(services):
        charge = Charge(
            source_event_id=source_event_id,
            position=position,
            order_id=order_id,
            procedure_id=procedure_id,
            encounter_id=visit.encounter_id,
            patient_id=account.patient_id,
            recorded_for=visit.patient_id,
            facility_id=visit.facility_id,
            code=service.code,
            description=service.description,
            service_date=visit.on,
            status="unpriced",
        )
        charge.price_at(prices[service.code])
        charges.append(charge)
    session.add_all(charges)
    if encounter is not None:
        await _follow(session, encounter, charges, account.patient_id, visit.facility_id)


async def _prices(session: AsyncSession, visit: Visit, codes: set[str]) -> Mapping[str, Money | None]:
    """What each service costs at the visit. Where something has no price, none is set until that can be seen to wait for it."""
    prices = await _prices_now(session, visit, codes)
    if None in prices.values():
        await ChargeMasterPrice.frozen(session, visit.facility_id)
        prices = await _prices_now(session, visit, codes)
    return prices


async def _prices_now(session: AsyncSession, visit: Visit, codes: set[str]) -> Mapping[str, Money | None]:
    known = await ChargeMasterPrice.of_codes(session, visit.facility_id, codes)
    return {code: rules.price_on(visit.on, [price for price in known if price.code == code]) for code in codes}


async def _price_what_waited(session: AsyncSession, facility_id: UUID, code: str) -> None:
    waiting = [Charge.facility_id == facility_id, Charge.code == code, Charge.status == "unpriced"]
    await BillingAccount.all_held(session, await session.scalars(select(Charge.recorded_for).where(*waiting)))
    in_order = select(Charge).where(*waiting).order_by(Charge.charge_id)
    charges = (await session.scalars(in_order.with_for_update())).all()
    prices = await ChargeMasterPrice.of_codes(session, facility_id, {code})
    for charge in charges:
        charge.price_at(rules.price_on(charge.service_date, prices))
    opened = [charge for charge in charges if charge.status == "open"]
    for encounter_id, patient_id in sorted({(c.encounter_id, c.patient_id) for c in opened if c.encounter_id}):
        of_encounter = [charge for charge in opened if charge.encounter_id == encounter_id]
        encounter = await EncounterBill.locked(session, encounter_id)
        await _follow(session, encounter, of_encounter, patient_id, facility_id)


async def _follow(
    session: AsyncSession, encounter: EncounterBill, charges: Sequence[Charge], patient_id: UUID, facility_id: UUID
) -> None:
    """What becomes of new charges of an encounter: held if it did not take place, invoiced if it is over."""
    if encounter.cancelled_at is not None:
        for charge in charges:
            if charge.status == "open":
                charge.move("held")
    elif encounter.discharged_at is not None:
        await invoice_if_active(session, patient_id, facility_id, encounter.encounter_id)


async def _check_currency(session: AsyncSession, facility_id: UUID, currency: str) -> None:
    others = [ChargeMasterPrice.facility_id == facility_id, ChargeMasterPrice.currency != currency]
    if await session.scalar(select(ChargeMasterPrice.currency).where(*others).limit(1)):
        raise FacilityPricesInOneCurrency(facility_id=facility_id)
