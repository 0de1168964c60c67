"""A small service for the tests of the HTTP side: beds that are booked."""

from __future__ import annotations

import types
from datetime import datetime
from decimal import Decimal
from typing import Annotated
from uuid import UUID

from fastapi import HTTPException, Request
from pydantic import BaseModel, ConfigDict
from sqlalchemy import DateTime, select, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from broker import (
    Idempotent,
    NotFound,
    Page,
    PageRequest,
    Principal,
    Reading,
    Router,
    RuleBroken,
    Service,
    Transaction,
    allow,
    clock,
    publish,
    verified_by,
)
from broker._context import uuid7
from broker._database import Database, engine_for
from contracts.event import Event

HERE = UUID("0190b000-0000-7000-8000-000000000001")
ELSEWHERE = UUID("0190b000-0000-7000-8000-000000000002")


class BedBooked(Event, name="bed.booked", version=1, key="booking_id", publisher="ward"):
    """A bed was booked."""

    booking_id: UUID


class Base(DeclarativeBase):
    """The ward's tables."""


class Booking(Base):
    """A bed, booked."""

    __tablename__ = "booking"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    facility_id: Mapped[UUID]
    name: Mapped[str]
    nights: Mapped[int]
    price: Mapped[Decimal]
    booked_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


CREATE = """
    CREATE TABLE booking (
        id uuid PRIMARY KEY, facility_id uuid NOT NULL, name text NOT NULL UNIQUE, nights integer NOT NULL,
        price numeric NOT NULL, booked_at timestamptz NOT NULL
    )
"""


class BedIsTaken(RuleBroken):
    """A bed is booked once.

    Not twice.
    """


class Asked(BaseModel):
    """What is asked for."""

    model_config = ConfigDict(extra="forbid")

    facility_id: UUID
    name: str
    nights: int = 1
    booked_at: datetime | None = None


class Shown(BaseModel):
    """A booking as it is shown."""

    id: UUID
    name: str


def show(booking: Booking) -> Shown:
    return Shown(id=booking.id, name=booking.name)


router = Router(tags=["bookings"])
Nurse = Annotated[Principal, allow("nurse")]


@router.post("/bookings", status_code=201)
async def book(body: Asked, who: Nurse, session: Transaction, key: Idempotent) -> Shown:
    """Books a bed."""
    booking = Booking(
        id=uuid7(),
        facility_id=who.at(body.facility_id),
        name=body.name,
        nights=body.nights,
        price=Decimal(1),
        booked_at=body.booked_at or clock.now(),
    )
    session.add(booking)
    publish(session, BedBooked(booking_id=booking.id))
    if body.name == "taken":
        raise BedIsTaken(bed=booking.id, status="free")
    if body.name == "Jane Doe":
        raise RuntimeError("Jane Doe fell out of bed")
    return show(booking)


@router.get("/bookings")
async def bookings(who: Nurse, session: Reading, page: PageRequest, newest_first: bool = False) -> Page[Shown]:
    """Lists the bookings."""
    query = select(Booking).where(who.within(Booking.facility_id))
    by = [Booking.booked_at.desc(), Booking.id.desc()] if newest_first else [Booking.nights, Booking.price.desc(), Booking.id]
    return await page.read(session, query, by=by, view=show)


@router.get("/bookings/{booking_id}")
async def booking(booking_id: UUID, who: Nurse, session: Reading) -> Shown:
    """Shows a booking."""
    found = await session.get(Booking, booking_id)
    if found is None:
        raise NotFound
    who.at(found.facility_id)
    return show(found)


@router.delete("/bookings")
async def write_while_reading(who: Nurse, session: Reading) -> None:
    """Tries what a reading session cannot do."""
    await session.execute(text("DELETE FROM booking"))


async def is_signed(request: Request) -> None:
    if request.headers.get("signature") != "genuine":
        raise HTTPException(401, "The signature is not genuine.")


@router.post("/webhook", dependencies=[verified_by(is_signed)])
async def webhook() -> dict[str, bool]:
    """Takes a provider's word."""
    return {"taken": True}


ward = Service(
    name="ward",
    port=7999,
    tables=Base.metadata,
    api=router,
    trusts_auth=False,
    contracts=types.ModuleType("contracts.ward"),
)


async def ward_database(url: str) -> Database:
    """The ward's database, on a fresh database with the backbone's tables."""
    database = Database(engine_for(url, pool_size=5), "ward")
    async with database.engine.begin() as connection:
        await connection.execute(text(CREATE))
    return database
