"""Tests that fail, each for one reason: run by pytest inside a test of what they report."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import aiormq
import httpx
import pytest

from broker import Permanent
from broker.testing import Flow
from tests.broker.testing.conftest import Customer
from tests.broker.testing.courier import Courier
from tests.broker.testing.shop.store import app as store
from tests.broker.testing.shop.store_says import ParcelPacked
from tests.broker.testing.shop.till_says import OrderCancelled, OrderPlaced


async def test_good(flow: Flow, customer: Customer) -> None:
    async with flow.started_by(customer.is_called("Amal"), customer.orders("tea")) as f:
        await f.published(ParcelPacked).once()


async def test_an_event_is_missing(flow: Flow, customer: Customer) -> None:
    async with flow.started_by(customer.is_called("Amal"), customer.orders("tea")) as f:
        await f.published(OrderCancelled, by="till").once()


async def test_an_event_is_surplus(flow: Flow, customer: Customer) -> None:
    async with flow.started_by(customer.is_called("Amal"), customer.orders(store.TWICE)) as f:
        await f.published(ParcelPacked).once()


async def test_an_event_must_not_be(flow: Flow, customer: Customer) -> None:
    async with flow.started_by(customer.is_called("Amal"), customer.orders("tea")) as f:
        f.never(ParcelPacked, article="tea")


async def test_a_dead_letter(flow: Flow, customer: Customer) -> None:
    async with flow.started_by(customer.is_called("Amal"), customer.orders(store.SOLD_OUT)):
        pass


async def test_no_dead_letter(flow: Flow, customer: Customer) -> None:
    async with flow.started_by(customer.is_called("Amal"), customer.orders("tea")) as f:
        f.dead_letter("store.pack", error="Permanent")


async def test_a_message_is_held(flow: Flow, customer: Customer) -> None:
    with flow.failing("store.unpack", Permanent("it has no shelf"), times=1):
        async with flow.started_by() as f:
            order = uuid4()
            await customer.cancels(order)
            await f.kept(await f.published(OrderCancelled).first(), by="store.unpack", state="dead")
            await customer.cancels(order)


async def test_a_message_waits(flow: Flow, customer: Customer) -> None:
    async with flow.started_by(customer.orders("tea")) as f:
        await f.published(ParcelPacked).once()


async def test_a_plan_is_not_declared(flow: Flow, customer: Customer) -> None:
    async with flow.started_by(customer.is_called("Amal"), customer.orders(store.FOR_LATER)):
        pass


async def test_nobody_subscribes(flow: Flow, customer: Customer) -> None:
    async with flow.started_by(customer.is_called("Amal"), customer.orders("tea")) as f:
        await f.handled(await f.published(OrderPlaced).once(), by="till")


async def test_a_service_is_down(flow: Flow, customer: Customer) -> None:
    async with flow.down("store"), flow.started_by(customer.orders("tea")):
        pass


async def test_a_subscription_never_answers(flow: Flow, customer: Customer) -> None:
    try:
        async with flow.started_by(customer.is_called("Amal"), customer.orders(store.SLOW)):
            pass
    finally:
        store.shelf_is_free.set()


async def test_a_message_is_lost(flow: Flow, customer: Customer) -> None:
    async with flow.started_by(customer.is_called("Amal")) as f, flow.down("store"):
        await customer.orders("tea")
        await f.relayed(await f.published(OrderPlaced).once())
        connection = await aiormq.connect(flow.deployment.platform.amqp_url)
        await (await connection.channel()).queue_purge("store.pack")
        await connection.close()


async def test_an_answer_is_lost(flow: Flow, customer: Customer, courier: Courier, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(courier, "owing", ["that a parcel was fetched"])
    async with flow.started_by(customer.is_called("Amal"), customer.orders("tea")):
        pass


async def test_an_event_comes_late(flow: Flow, customer: Customer) -> None:
    is_over = asyncio.Event()

    async def order_afterwards() -> None:
        await is_over.wait()
        await customer.orders("tea")

    async with flow.started_by(customer.is_called("Amal")):
        leak = asyncio.create_task(order_afterwards())
    is_over.set()
    await leak


async def test_a_flow_of_its_own(flow: Flow) -> None:
    async with httpx.AsyncClient() as stranger:
        token = flow.deployment.token("clerk")
        asked = {"customer_id": str(uuid4()), "article": store.SOLD_OUT}
        till = f"{flow.deployment.addresses['till']}/api/v1/orders"
        async with flow.started_by(stranger.post(till, json=asked, headers={"Authorization": f"Bearer {token}"})):
            pass


async def test_something_else_fails(flow: Flow, customer: Customer) -> None:
    async with flow.started_by(customer.is_called("Amal"), customer.orders("tea")) as f:
        await f.published(ParcelPacked).once()
        assert customer.id == "another"


async def test_names_that_are_not(flow: Flow, customer: Customer) -> None:
    async with flow.started_by(customer.is_called("Amal")) as f:
        await f.replica("store.costumer_reference", customer.id).reaches(version=1)
