"""What a test can do to a platform: every promise holds, or the test says what became of it."""

from __future__ import annotations

import pytest

from broker import Later
from broker.testing import Flow, FlowFailed
from tests.broker.testing.conftest import Customer
from tests.broker.testing.courier import Courier
from tests.broker.testing.shop.store.app import CustomerReference
from tests.broker.testing.shop.store_says import ParcelHandedOver, ParcelPacked
from tests.broker.testing.shop.till_says import CustomerChanged, OrderPlaced


async def test_a_handler_that_fails_for_a_while(flow: Flow, customer: Customer) -> None:
    """It is tried again, and takes effect once."""
    with flow.failing("store.pack", Later("the shelf is locked"), times=1):
        async with flow.started_by(customer.is_called("Amal"), customer.orders("tea")) as f:
            await f.published(ParcelPacked).once()


async def test_who_is_not_asked_to_fail_does_not(flow: Flow, customer: Customer) -> None:
    """A fault that never came to pass is no proof of anything: it fails the test."""
    unmet = pytest.raises(AssertionError, match="was to fail 2 times, and handled only 0")
    with unmet, flow.failing("store.unpack", Later("never"), times=2):
        async with flow.started_by(customer.is_called("Amal")):
            pass


async def test_a_service_that_is_down_for_a_while(flow: Flow, customer: Customer) -> None:
    """What is said to it waits; inside the block the flow cannot end, which is known at once."""
    async with flow.started_by(customer.is_called("Amal")) as f:
        async with flow.down("store"):
            await customer.orders("tea")
            placed = await f.published(OrderPlaced).once()
            with pytest.raises(FlowFailed, match=r"order\.placed lies in store\.pack, and store is not running"):
                await f.handled(placed, by="store")
        await f.handled(placed, by="store")


async def test_a_broker_that_is_gone_for_a_while(flow: Flow, customer: Customer) -> None:
    """Commands go on; what they published arrives once it is back."""
    async with flow.started_by(customer.is_called("Amal")) as f:
        with flow.without_broker():
            await customer.orders("tea")
        await f.published(ParcelPacked).once()


async def test_a_database_that_is_gone_for_a_while(flow: Flow, customer: Customer) -> None:
    """Messages wait for it, and nobody is blamed."""
    async with flow.started_by(customer.is_called("Amal")) as f:
        async with flow.without_database("store"):
            await customer.orders("tea")
            await f.published(OrderPlaced).once()
        await f.published(ParcelPacked).once()


async def test_a_subscription_that_hears_late(flow: Flow, customer: Customer) -> None:
    """The order comes before the customer is known: it waits for that, and then takes effect by itself."""
    async with flow.started_by() as f:
        async with flow.late("store.customer_reference"):
            await customer.is_called("Amal")
            await customer.orders("tea")
            placed = await f.published(OrderPlaced).once()
            await f.kept(placed, by="store.pack", state="waiting")
        await f.published(ParcelPacked).once()


async def test_what_comes_in_another_order(flow: Flow, customer: Customer) -> None:
    """The customer's second name comes before the first one: the newer state counts. Everything took effect once."""
    async with flow.started_by() as f:
        async with flow.disordered("store.customer_reference"):
            for name in ("Amal", "Amal Idris"):
                await customer.is_called(name)
            for state in await f.published(CustomerChanged).times(2):
                await f.relayed(state)
        await f.replica(CustomerReference, customer.id).reaches(version=2, name="Amal Idris")
    sight = await f.over()
    assert [event.type for event in sight.said] == ["customer.changed"] * 2
    handled = [each.id for each in sorted(sight.handled, key=lambda each: each.order)]
    assert handled == [event.id for event in sight.said][::-1]


@pytest.mark.parametrize("backwards", [False, True])
async def test_what_is_delivered_again_has_no_effect(flow: Flow, customer: Customer, *, backwards: bool) -> None:
    """All that was said is said again, in order or the last first: there is one parcel, and one of everything."""
    async with flow.started_by(customer.is_called("Amal"), customer.orders("tea")) as f:
        await f.again(backwards=backwards)
        await f.published(ParcelPacked).once()


async def test_an_answer_from_outside_that_is_late(flow: Flow, customer: Customer, courier: Courier) -> None:
    """While the courier says nothing the flow is open; when nobody can know, it is sent again under the same key."""
    before = len(courier.asked)
    async with flow.started_by(customer.is_called("Amal")) as f:
        with courier.silent():
            order = await customer.orders("for the courier")
            await f.published(ParcelPacked, order_id=order).once()
            await f.called("fetch", state="unknown")
        await f.published(ParcelHandedOver, order_id=order).once()
    assert len(set(courier.asked[before:])) == 1
