"""Prices, and what services given to patients cost."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from uuid import UUID, uuid4

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.lab import LabOrderCompleted
from contracts.money import Money
from services.billing import rules
from services.billing.commands.accounts import account_of
from services.billing.commands.invoices import invoice_what_is_open
from services.billing.errors import FacilityPricesInOneCurrency
from services.billing.tables import Charge, ChargeMasterPrice, EncounterBill


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
    await _check_currency(session, facility_id, price.currency)
    says = {"amount": price.amount, "currency": price.currency, "effective_to": effective_to}
    begins = {"facility_id": facility_id, "code": code, "effective_from": effective_from}
    row = insert(ChargeMasterPrice).values(price_id=uuid4(), **begins, **says)
    await session.execute(row.on_conflict_do_update(index_elements=list(begins), set_=says))
    await _price_what_waited(session, facility_id, code)


async def capture_charges(session: AsyncSession, order: LabOrderCompleted, source_event_id: UUID) -> None:
    """One charge for each test of the order, at the price of its facility and day. Raises NotYet."""
    account = await account_of(session, order.patient_id)
    encounter = await EncounterBill.locked(session, order.encounter_id) if order.encounter_id else None
    session.add_all(await _charges_for(session, order, source_event_id, account.patient_id))
    if encounter is not None and encounter.discharged_at is not None:
        await invoice_what_is_open(session, account.patient_id, order.facility_id, encounter.encounter_id)


async def bill_encounter(
    session: AsyncSession, encounter_id: UUID, patient_id: UUID, facility_id: UUID, discharged_at: datetime
) -> None:
    """Invoices what an encounter cost, now that it is over; what is charged later gets an invoice of its own. Raises NotYet."""
    account = await account_of(session, patient_id)
    encounter = await EncounterBill.locked(session, encounter_id)
    encounter.discharged_at = discharged_at
    await invoice_what_is_open(session, account.patient_id, facility_id, encounter_id)


async def _charges_for(
    session: AsyncSession, order: LabOrderCompleted, source_event_id: UUID, patient_id: UUID
) -> list[Charge]:
    prices = await _prices(session, order.facility_id, {test.code for test in order.tests})
    service_date = order.completed_at.date()
    charges = [
        Charge(
            source_event_id=source_event_id,
            position=position,
            order_id=order.order_id,
            encounter_id=order.encounter_id,
            patient_id=patient_id,
            facility_id=order.facility_id,
            code=test.code,
            description=test.name,
            service_date=service_date,
        )
        for position, test in enumerate(order.tests)
    ]
    for charge in charges:
        charge.price_at(rules.price_on(service_date, [price for price in prices if price.code == charge.code]))
    return charges


async def _prices(session: AsyncSession, facility_id: UUID, codes: Iterable[str]) -> Sequence[ChargeMasterPrice]:
    of_codes = [ChargeMasterPrice.facility_id == facility_id, ChargeMasterPrice.code.in_(codes)]
    return (await session.scalars(select(ChargeMasterPrice).where(*of_codes))).all()


async def _price_what_waited(session: AsyncSession, facility_id: UUID, code: str) -> None:
    waiting = select(Charge).where(Charge.facility_id == facility_id, Charge.code == code, Charge.status == "unpriced")
    charges = (await session.scalars(waiting.order_by(Charge.charge_id).with_for_update())).all()
    prices = await _prices(session, facility_id, {code})
    for charge in charges:
        charge.price_at(rules.price_on(charge.service_date, prices))
    opened = [charge for charge in charges if charge.status == "open"]
    for encounter_id, patient_id in sorted({(c.encounter_id, c.patient_id) for c in opened if c.encounter_id}):
        encounter = await EncounterBill.locked(session, encounter_id)
        if encounter.discharged_at is not None:
            await invoice_what_is_open(session, patient_id, facility_id, encounter_id)


async def _check_currency(session: AsyncSession, facility_id: UUID, currency: str) -> None:
    others = [ChargeMasterPrice.facility_id == facility_id, ChargeMasterPrice.currency != currency]
    if await session.scalar(select(ChargeMasterPrice.currency).where(*others).limit(1)):
        raise FacilityPricesInOneCurrency(facility_id=facility_id)
