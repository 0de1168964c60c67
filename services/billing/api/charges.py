"""Prices and charges over HTTP."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Query
from sqlalchemy import select

from broker import Page, PageRequest, Reading, Router, Transaction
from services.billing import commands, tables, views
from services.billing.api.roles import Manager, Reader, seen
from services.billing.rules import ChargeStatus

router = Router()


@router.put("/prices", status_code=204)
async def set_price(asked: views.NewPrice, who: Manager, session: Transaction) -> None:
    """Sets a price of the charge master."""
    who.at(asked.facility_id)
    await commands.set_price(session, **dict(asked))


@router.get("/prices")
async def list_prices(
    who: Reader, session: Reading, page: PageRequest, code: Annotated[str | None, Query(max_length=64)] = None
) -> Page[views.Price]:
    """The charge master, by code and day."""
    price = tables.ChargeMasterPrice
    query = select(price).where(who.within(price.facility_id))
    if code is not None:
        query = query.where(price.code == code)
    by = [price.code, price.effective_from, price.price_id]
    return await page.read(session, query, by=by, view=views.Price.model_validate)


@router.get("/charges")
async def list_charges(
    who: Reader, session: Reading, page: PageRequest, patient_id: UUID | None = None, status: ChargeStatus | None = None
) -> Page[views.Charge]:
    """Charges, by day."""
    charge = tables.Charge
    query = select(charge).where(who.within(charge.facility_id))
    if patient_id is not None:
        query = query.where(charge.patient_id == patient_id)
    if status is not None:
        query = query.where(charge.status == status)
    return await page.read(session, query, by=[charge.service_date, charge.charge_id], view=views.Charge.of)


@router.post("/charges/{charge_id}/release")
async def release_charge(charge_id: UUID, who: Manager, session: Transaction) -> views.Charge:
    """Has a service paid for that was given although its encounter did not take place."""
    await seen(session, tables.Charge, charge_id, who)
    return views.Charge.of(await commands.release_charge(session, charge_id, by=who.subject))


@router.post("/charges/{charge_id}/withdraw")
async def withdraw_charge(charge_id: UUID, who: Manager, session: Transaction) -> views.Charge:
    """Asks nobody for a service of an encounter that did not take place."""
    await seen(session, tables.Charge, charge_id, who)
    return views.Charge.of(await commands.withdraw_charge(session, charge_id, by=who.subject))
