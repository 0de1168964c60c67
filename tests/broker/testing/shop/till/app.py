"""The till: it knows customers and takes their orders."""

from __future__ import annotations

import sys
from typing import Annotated
from uuid import UUID, uuid4

from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from broker import Principal, Router, Service, StateOwner, Transaction, allow_everywhere, on, publish, publishes_state
from tests.broker.testing.shop import till_says
from tests.broker.testing.shop.store_says import ParcelPacked
from tests.broker.testing.shop.till_says import CustomerChanged, OrderCancelled, OrderPlaced

Clerk = Annotated[Principal, allow_everywhere("clerk")]
router = Router()


class Base(DeclarativeBase):
    """The till's tables."""


@publishes_state(CustomerChanged)
class Customer(StateOwner, Base):
    """Somebody who buys."""

    __tablename__ = "customer"

    customer_id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    name: Mapped[str]


class Order(Base):
    """Something that somebody wants."""

    __tablename__ = "orders"

    order_id: Mapped[UUID] = mapped_column(primary_key=True)
    is_packed: Mapped[bool] = mapped_column(default=False)


class Name(BaseModel):
    """Of a customer."""

    name: str


class Wish(BaseModel):
    """What somebody wants."""

    customer_id: UUID
    article: str


@router.put("/customers/{customer_id}")
async def keep_customer(customer_id: UUID, asked: Name, session: Transaction, clerk: Clerk) -> Name:
    """Somebody is called so."""
    customer = await session.get(Customer, customer_id)
    if customer is None:
        session.add(Customer(customer_id=customer_id, name=asked.name))
    else:
        customer.name = asked.name
    return asked


@router.post("/orders", status_code=201)
async def place_order(asked: Wish, session: Transaction, clerk: Clerk) -> dict[str, UUID]:
    """Somebody wants something."""
    order = Order(order_id=uuid4())
    session.add(order)
    publish(session, OrderPlaced(order_id=order.order_id, customer_id=asked.customer_id, article=asked.article))
    return {"order_id": order.order_id}


@router.post("/orders/{order_id}/cancel", status_code=204)
async def cancel_order(order_id: UUID, session: Transaction, clerk: Clerk) -> None:
    """Nobody wants it any more."""
    publish(session, OrderCancelled(order_id=order_id))


@on(ParcelPacked)
async def note_what_is_packed(event: ParcelPacked, session: AsyncSession) -> None:
    """The customer can be told."""
    (await session.get_one(Order, event.order_id)).is_packed = True


service = Service(
    name="till",
    port=0,
    tables=Base.metadata,
    handlers=sys.modules[__name__],
    api=router,
    contracts=till_says,
    trusts_auth=False,
)
