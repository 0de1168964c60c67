"""The kit itself: what can be said of a flow, and when it is over."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from broker.testing import Flow
from tests.broker.testing.conftest import Customer
from tests.broker.testing.courier import Courier
from tests.broker.testing.shop.store.app import CustomerReference
from tests.broker.testing.shop.store_says import ParcelOverdue, ParcelPacked
from tests.broker.testing.shop.till_says import OrderCancelled, OrderPlaced


async def test_a_flow_from_its_command_to_its_end(flow: Flow, customer: Customer) -> None:
    """Events are found by contract, publisher and fields; who handled them, and which rows they left."""
    async with flow.started_by(customer.is_called("Amal"), customer.orders("tea")) as f:
        placed = await f.published(OrderPlaced, by="till", article="tea").once()
        assert placed.event.customer_id == customer.id
        await f.handled(placed, by="store")
        row = await f.replica(CustomerReference, customer.id).reaches(version=1, name="Amal")
        assert row.id == customer.id
        await f.handled(await f.published(ParcelPacked).once(), by=["till", "till.note_what_is_packed"])
        f.never(OrderCancelled)


async def test_the_end_is_awaited(flow: Flow, customer: Customer, courier: Courier) -> None:
    """Leaving the block is enough: what followed from the command, and from the courier's answer, is over then."""
    async with flow.started_by(customer.is_called("Amal"), customer.orders("for the courier")) as f:
        pass
    sight = await f.over()
    assert [event.type for event in sight.said] == ["customer.changed", "order.placed", "parcel.packed", "parcel.handed_over"]


async def test_what_waits_for_the_clock_is_said(flow: Flow, customer: Customer) -> None:
    """What is planned is declared, and comes when the clock is moved."""
    async with flow.started_by(customer.is_called("Amal"), customer.orders("for later")) as f:
        f.scheduled(ParcelOverdue, within=timedelta(days=30))
        await f.published(ParcelPacked).once()
    async with flow.started_by(customer.orders("for later")) as f:
        await f.published(ParcelPacked).once()
        await flow.advance(days=31)
        await f.published(ParcelOverdue, by="store").once()


async def test_a_request_under_way_is_waited_for(flow: Flow, customer: Customer) -> None:
    """What a test asks for beside what it awaits is a command of the flow too: it is not over before that is answered."""
    async with flow.started_by(customer.is_called("Amal")) as f, asyncio.TaskGroup() as beside:
        beside.create_task(customer.orders("tea"))
        await f.published(ParcelPacked).once()
