"""The store: it packs what is ordered, and has a courier fetch it. What it does depends on the article."""

from __future__ import annotations

import asyncio
import sys
from datetime import timedelta
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from broker import Permanent, Replica, Service, World, call, clock, on, outside, publish, schedule, send_again, unschedule
from tests.broker.testing.shop import store_says
from tests.broker.testing.shop.store_says import ParcelHandedOver, ParcelOverdue, ParcelPacked
from tests.broker.testing.shop.till_says import CustomerChanged, OrderCancelled, OrderPlaced

SOLD_OUT, FOR_COURIER, FOR_LATER, TWICE, SLOW = "sold out", "for the courier", "for later", "packed twice", "packed slowly"
MONTH = timedelta(days=30)

shelf_is_free = asyncio.Event()
"""Without which nothing is packed slowly."""


class Base(DeclarativeBase):
    """The store's tables."""


class CustomerReference(Replica[CustomerChanged], Base):
    """Who buys."""

    __tablename__ = "customer_reference"

    name: Mapped[str]


class Parcel(Base):
    """What was packed."""

    __tablename__ = "parcel"

    order_id: Mapped[UUID] = mapped_column(primary_key=True)
    addressee: Mapped[str]


class Pickup(BaseModel):
    """What the courier is to fetch."""

    order_id: UUID


class Fetched(BaseModel):
    """What the courier says."""

    at_once: bool


@outside(deadline=timedelta(seconds=2), if_unknown=send_again(at_most=3, then=Fetched(at_once=False)))
async def fetch(request: Pickup, key: str, world: World) -> Fetched:
    """Has the courier fetch a parcel."""
    reply = await world.http.post(world["courier"], json={"order_id": str(request.order_id), "key": key})
    reply.raise_for_status()
    return Fetched(at_once=True)


@fetch.then
async def hand_over(session: AsyncSession, request: Pickup, outcome: Fetched) -> None:
    """The courier has it."""
    publish(session, ParcelHandedOver(order_id=request.order_id))


@on(OrderPlaced)
async def pack(event: OrderPlaced, session: AsyncSession) -> None:
    """As soon as it is known for whom."""
    if event.article == SLOW:
        await shelf_is_free.wait()
    if event.article == SOLD_OUT:
        raise Permanent("it is sold out")
    customer = await CustomerReference.require(session, event.customer_id)
    session.add(Parcel(order_id=event.order_id, addressee=customer.name))
    for _ in range(2 if event.article == TWICE else 1):
        publish(session, ParcelPacked(order_id=event.order_id, article=event.article))
    if event.article == FOR_LATER:
        overdue = ParcelOverdue(order_id=event.order_id)
        await schedule(session, overdue, at=clock.now() + MONTH, name=f"overdue {event.order_id}")
    if event.article == FOR_COURIER:
        await call(session, fetch, Pickup(order_id=event.order_id), key=event.order_id)


@on(OrderCancelled)
async def unpack(event: OrderCancelled, session: AsyncSession) -> None:
    """It goes back to its shelf."""
    await unschedule(session, f"overdue {event.order_id}")


service = Service(
    name="store",
    port=0,
    tables=Base.metadata,
    handlers=sys.modules[__name__],
    replicas=sys.modules[__name__],
    outside=sys.modules[__name__],
    contracts=store_says,
    trusts_auth=False,
)
