"""A courier who cannot deliver some parcels, for three causes, on a platform with operations, where people ask for a replay.

Nothing in its tables is unique on an event: a second effect would be seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import BigInteger, Identity, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from broker import Envelope, Permanent, Router, Service, on
from contracts.event import Event
from services.operations.app import service as operations
from tests.faults.services import module

PASS = text("SELECT pg_advisory_xact_lock_shared(at) FROM gate WHERE at <= (SELECT count(*) FROM delivery)")
"""Waits at the gates of all parcels that are delivered, as seen from here, for those whose lock somebody else has."""


class ParcelSent(Event, name="parcel.sent", version=1, key="address", publisher="courier"):
    """A parcel for an address, the number counting from 0; `obstacle` is what may be in its way."""

    address: str
    number: int
    obstacle: str | None


class Flooded(Permanent):
    """A cause."""


class SnowedIn(Permanent):
    """Another."""


class OnStrike(Permanent):
    """The third."""


OBSTACLES: dict[str, type[Permanent]] = {each.__name__: each for each in (Flooded, SnowedIn, OnStrike)}


class Base(DeclarativeBase):
    """The courier's tables."""


class Obstacle(Base):
    """What is in the way. A cause is cured when it is gone."""

    __tablename__ = "obstacle"

    name: Mapped[str] = mapped_column(primary_key=True)


class Delivery(Base):
    """What one message did, in the order of doing."""

    __tablename__ = "delivery"

    position: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    source: Mapped[UUID]
    address: Mapped[str]
    number: Mapped[int]


class Gate(Base):
    """How many parcels are delivered where the courier waits, as long as somebody has the advisory lock of this number."""

    __tablename__ = "gate"

    at: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)


@on(ParcelSent)
async def deliver(event: ParcelSent, session: AsyncSession, envelope: Envelope) -> None:
    """Delivers a parcel, unless something is in its way."""
    if event.obstacle is not None and await session.get(Obstacle, event.obstacle) is not None:
        raise OBSTACLES[event.obstacle]
    session.add(Delivery(source=envelope.id, address=event.address, number=event.number))
    await session.flush()
    await session.execute(PASS)


courier = Service(
    name="courier",
    port=0,
    tables=Base.metadata,
    contracts=module("contracts.courier", ParcelSent),
    handlers=module("courier.handlers", deliver),
    api=Router(),
)


@dataclass(frozen=True)
class Parcels:
    """The platform: the courier, operations, and those whose events operations hears, who say nothing."""

    def services(self) -> dict[str, Service]:
        """The services, by name."""
        silent = [Service(name=name, port=0) for name in ("auth", "billing", "clinical")]
        return {service.name: service for service in (courier, operations, *silent)}
