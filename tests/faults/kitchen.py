"""A kitchen that does all that a process can die of, and the dining room, which orders dishes and serves them.

Nothing in their tables is unique on an event: a second effect would be seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy import BigInteger, Identity
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from broker import (
    SEND_AGAIN,
    Envelope,
    Fresh,
    Idempotent,
    Later,
    Permanent,
    Replica,
    Router,
    Service,
    StateOwner,
    Transaction,
    World,
    allow,
    call,
    clock,
    on,
    outside,
    publish,
    publishes_state,
    schedule,
)
from contracts.backbone import FailedMessageChanged, FailureActionChanged, ServiceCopyChanged
from contracts.event import Event, Personal, StateEvent
from contracts.event import upcaster as brings_up
from tests.faults.services import module

COOK = "cook"
"""The role that the kitchen's door is open to."""


class DishOrdered(Event, name="dish.ordered", version=1, key="table", publisher="dining"):
    """A table wants its dish of this number, counting from 0; `how` says what the kitchen meets on the way."""

    table: str
    number: int
    how: str = ""
    diner_id: UUID
    wish: Annotated[str, Personal(of="diner_id")] = "no salt"


class DishOrderedNow(Event, name="dish.ordered", version=2, key="table", publisher="dining"):
    """The same in the dining room's newer release, which says for how many."""

    table: str
    number: int
    how: str = ""
    diner_id: UUID
    wish: Annotated[str, Personal(of="diner_id")] = "no salt"
    plates: int

    @brings_up(since=1)
    @staticmethod
    def count_plates(data: dict[str, Any]) -> dict[str, Any]:
        """Dishes were for one."""
        return {**data, "plates": 1}


class DinerErased(Event, name="diner.erased", version=1, key="diner_id", publisher="dining", erases="diner_id"):
    """A diner wants to be forgotten."""

    diner_id: UUID


class TableChanged(StateEvent, name="table.changed", version=1, key="table_id", publisher="dining"):
    """How many seats a table has."""

    table_id: str
    seats: int


class DishCooked(Event, name="dish.cooked", version=1, key="table", publisher="kitchen"):
    """The dish is cooked."""

    table: str
    number: int


class DishRested(Event, name="dish.rested", version=1, key="table", publisher="kitchen"):
    """The dish has had its time."""

    table: str
    number: int


class StoveChanged(StateEvent, name="stove.changed", version=1, key="stove_id", publisher="kitchen"):
    """How hot a stove is."""

    stove_id: str
    heat: int


Order = DishOrdered | DishOrderedNow


class KitchenBase(DeclarativeBase):
    """The kitchen's tables."""


class DiningBase(DeclarativeBase):
    """The dining room's tables."""


class Effect:
    """What one message did, in the order of doing."""

    __tablename__ = "effect"

    position: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    source: Mapped[UUID]
    role: Mapped[str]
    place: Mapped[str]
    number: Mapped[int]


class KitchenEffect(Effect, KitchenBase):
    """In the kitchen."""


class DiningEffect(Effect, DiningBase):
    """In the dining room."""


class Fire(KitchenBase):
    """Burns what is to be cooked while it is there."""

    __tablename__ = "fire"

    one: Mapped[bool] = mapped_column(primary_key=True)


@publishes_state(StoveChanged)
class Stove(StateOwner, KitchenBase):
    """A stove."""

    __tablename__ = "stove"

    id: Mapped[str] = mapped_column(primary_key=True)
    heat: Mapped[int]


@publishes_state(TableChanged)
class Table(StateOwner, DiningBase):
    """A table."""

    __tablename__ = "dining_table"

    id: Mapped[str] = mapped_column(primary_key=True)
    seats: Mapped[int]


class TableCopy(Replica[TableChanged], KitchenBase):
    """The kitchen's copy of the tables, which knows how old it is."""

    __tablename__ = "table_copy"

    fresh = Fresh(at_most=timedelta(hours=1))
    seats: Mapped[int]


class StoveCopy(Replica[StoveChanged], DiningBase):
    """The dining room's copy of the stoves."""

    __tablename__ = "stove_copy"

    heat: Mapped[int]


class Burnt(Permanent):
    """There is a fire."""


class Spice(BaseModel):
    """What is sent for."""

    table: str
    number: int


class Bought(BaseModel):
    """It is there."""


@outside(deadline=timedelta(milliseconds=250), if_unknown=SEND_AGAIN)
async def buy(spice: Spice, key: str, world: World) -> Bought:
    """Sends for a spice. Raises Later while the market is closed."""
    if not take_down(Path(world["market"]), key):
        raise Later
    return Bought()


def take_down(market: Path, errand: str) -> bool:
    """Whether the market, a file, is open; then it takes down the errand."""
    if market.exists():
        with market.open("a") as errands:
            errands.write(f"{errand}\n")
    return market.exists()


@buy.then
async def season(session: AsyncSession, spice: Spice, bought: Bought) -> None:
    """Notes it, with nothing that would refuse a second time."""
    session.add(KitchenEffect(source=UUID(int=0), role="season", place=spice.table, number=spice.number))


async def cook(event: Order, session: AsyncSession, envelope: Envelope) -> None:
    """Cooks a dish, in its way."""
    if "seated" in event.how:
        await TableCopy.require(session, event.table)
    if "burnt" in event.how and await session.get(Fire, True) is not None:
        raise Burnt
    session.add(KitchenEffect(source=envelope.id, role="cook", place=event.table, number=event.number))
    publish(session, DishCooked(table=event.table, number=event.number))
    if "slow" in event.how:
        rested = DishRested(table=event.table, number=event.number)
        await schedule(session, rested, at=clock.now(), name=f"{event.table} {event.number}")
    if "spicy" in event.how:
        await call(session, buy, Spice(table=event.table, number=event.number), key=event.table)


router = Router(dependencies=[allow(COOK)])


@router.post("/stoves/{stove}", status_code=204)
async def heat_up(stove: str, session: Transaction, key: Idempotent) -> None:
    """Makes a stove hotter by one."""
    (await session.get_one(Stove, stove, with_for_update=True)).heat += 1


async def serve(event: DishCooked, session: AsyncSession, envelope: Envelope) -> None:
    """Serves a dish."""
    session.add(DiningEffect(source=envelope.id, role="serve", place=event.table, number=event.number))


async def praise(event: DishRested, session: AsyncSession, envelope: Envelope) -> None:
    """Says a word about a dish that took its time."""
    session.add(DiningEffect(source=envelope.id, role="praise", place=event.table, number=event.number))


async def hear(
    event: FailedMessageChanged | FailureActionChanged | ServiceCopyChanged, session: AsyncSession, envelope: Envelope
) -> None:
    """Hears how the kitchen is doing."""
    session.add(DiningEffect(source=envelope.id, role="hear", place=event.subject, number=event.state_version))


@dataclass(frozen=True, kw_only=True)
class Menu:
    """Which code runs. newer: what orders say. renamed: the subscription that cooks. watched: how copies do is heard."""

    newer: bool = False
    renamed: bool = False
    watched: bool = False

    def services(self) -> dict[str, Service]:
        """The services, by name; those whose events each service hears say nothing."""
        silent = [Service(name=name, port=0) for name in ("auth", "operations")]
        return {service.name: service for service in (self._kitchen(), self._dining(), *silent)}

    def _kitchen(self) -> Service:
        order: type[Order] = DishOrderedNow if self.newer else DishOrdered
        name, formerly = ("prepare", ("cook",)) if self.renamed else ("cook", ())
        errands = ModuleType("kitchen.outside")
        buy.__module__ = errands.__name__
        vars(errands)["buy"] = buy
        return Service(
            name="kitchen",
            port=0,
            tables=KitchenBase.metadata,
            contracts=module("contracts.kitchen", DishCooked, DishRested, StoveChanged),
            handlers=module("kitchen.handlers", on(order, name=name, formerly=formerly)(cook)),
            replicas=module("kitchen.replicas", TableCopy),
            outside=errands,
            api=router,
        )

    def _dining(self) -> Service:
        order: type[Order] = DishOrderedNow if self.newer else DishOrdered
        watched = (ServiceCopyChanged,) if self.watched else ()
        return Service(
            name="dining",
            port=0,
            tables=DiningBase.metadata,
            contracts=module("contracts.dining", order, DinerErased, TableChanged),
            handlers=module(
                "dining.handlers",
                on(DishCooked)(serve),
                on(DishRested)(praise),
                on(FailedMessageChanged, FailureActionChanged, *watched)(hear),
            ),
            replicas=module("dining.replicas", StoveCopy),
        )
