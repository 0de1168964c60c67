"""The kit waits for what is held up: a message for what it refers to, a call for its answer; and says again what was said."""

from __future__ import annotations

from sqlalchemy import text

from broker.testing import Deployment, Flow
from tests.broker.testing.conftest import Customer
from tests.broker.testing.courier import Courier
from tests.broker.testing.shop.store.app import FOR_COURIER, CustomerReference
from tests.broker.testing.shop.store_says import ParcelHandedOver, ParcelPacked
from tests.broker.testing.shop.till_says import CustomerChanged, OrderPlaced

EFFECTS = text("SELECT count(*) FROM backbone.inbox WHERE subscription = 'customer_reference' AND key = :key")


async def test_a_message_that_waits_is_seen(flow: Flow, customer: Customer) -> None:
    """The order is there before its customer: it is kept, and takes effect when the customer comes."""
    async with flow.started_by() as f:
        async with flow.late("store.customer_reference"):
            await customer.is_called("Amal")
            await customer.orders("tea")
            placed = await f.published(OrderPlaced, by="till").once()
            kept = await f.kept(placed, by="store.pack", state="waiting")
            assert (kept.waits_for, kept.waits_key) == ("customer_reference", str(customer.id))
        await f.published(ParcelPacked, by="store").once()


async def test_a_call_without_an_answer_is_seen(flow: Flow, customer: Customer, courier: Courier) -> None:
    """While the courier is silent it is being sent; the flow goes on when the answer is there."""
    async with flow.started_by(customer.is_called("Amal")) as f:
        with courier.silent():
            await customer.orders(FOR_COURIER)
            call = await f.called("fetch", by="store", state="sending")
            assert call.is_open
        await f.published(ParcelHandedOver, by="store").once()


async def test_what_comes_again_under_another_id_takes_effect_again(
    deployment: Deployment, flow: Flow, customer: Customer
) -> None:
    """Nobody knows that it is the same: only its version says so."""
    async with flow.started_by(customer.is_called("Amal")) as f:
        await f.anew(CustomerChanged)
        await f.replica(CustomerReference, customer.id).reaches(version=1, name="Amal")
    async with deployment.databases["store"].engine.connect() as connection:
        assert await connection.scalar(EFFECTS, {"key": str(customer.id)}) == 2


async def test_steps_of_a_set_up_wait_for_their_ends(deployment: Deployment, customer: Customer, courier: Courier) -> None:
    """Also for a flow of which nothing is said."""
    await customer.is_called("Amal")
    before = len(courier.asked)
    await customer.orders(FOR_COURIER)
    await deployment.settled()
    assert len(courier.asked) == before + 1
