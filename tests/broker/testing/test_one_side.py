"""The store alone: what the till says comes from a stand-in."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from uuid import UUID

import pytest

from broker import Service
from broker._replica_runs import Place, begin
from broker.servers import Servers
from broker.testing import Deployment, Flow, FlowFailed, World, deployed, example_of
from broker.testing.plugin import check_is_of
from contracts.backbone import ReplicaStates
from tests.broker.testing.shop.store import app as store
from tests.broker.testing.shop.store.app import CustomerReference
from tests.broker.testing.shop.store_says import ParcelPacked
from tests.broker.testing.shop.till import app as till
from tests.broker.testing.shop.till_says import CustomerChanged, OrderPlaced


class Coloured(ParcelPacked):
    """More than the contract has."""

    colour: str


@pytest.fixture(scope="module")
def services_under_test() -> Sequence[Service]:
    """Only the store."""
    return [store.service]


@pytest.fixture(scope="module")
async def deployment(
    servers: Servers, services_under_test: Sequence[Service], world_outside: World
) -> AsyncIterator[Deployment]:
    """It at work, with stand-ins for the others."""
    async with deployed(servers, services_under_test, world_outside) as deployment:
        yield deployment


async def test_what_the_publisher_says_is_told_by_its_stand_in(flow: Flow) -> None:
    """Over its own outbox, in the flow of the block, by its name."""
    customer = example_of(CustomerChanged, name="Amal")
    async with flow.started_by(flow.told(customer)) as f:
        placed = await flow.told(example_of(OrderPlaced, customer_id=customer.customer_id))
        packed = await f.published(ParcelPacked, by="store", order_id=placed.event.order_id).once()
        await f.handled(await f.published(OrderPlaced, by="till").once(), by="store")
    sight = await f.over()
    assert {event.id: event.cause for event in sight.said}[packed.id] == placed.id


async def test_a_state_has_the_versions_of_its_owner(flow: Flow) -> None:
    """They only grow, whatever the example says, and after a tombstone too."""
    customer = example_of(CustomerChanged, name="Amal")
    async with flow.started_by() as f:
        first, second = await flow.told(customer), await flow.told(customer)
        assert first.event.state_version < second.event.state_version
        await f.replica(CustomerReference, customer.customer_id).reaches(version=second.event.state_version)
        gone = await flow.told(customer, gone=True)
        assert gone.event.deleted
        await f.replica(CustomerReference, customer.customer_id).gone()
        back = await flow.told(customer.model_copy(update={"name": "Amina"}))
        assert back.event.state_version > gone.event.state_version > second.event.state_version
        await f.replica(CustomerReference, customer.customer_id).reaches(version=back.event.state_version, name="Amina")


async def test_what_was_never_there_can_be_gone(flow: Flow) -> None:
    """A tombstone is all that is said of it."""
    async with flow.started_by(flow.told(example_of(CustomerChanged, deleted=True))) as f:
        assert (await f.published(CustomerChanged).once()).event.deleted


async def test_what_was_told_before_is_over(flow: Flow) -> None:
    """Outside of a block an event has a flow of its own, which is over when it was told."""
    customer = await flow.told(example_of(CustomerChanged, name="Amal"))
    row = await flow.deployment.replica_row("store", CustomerReference, customer.event.customer_id)
    assert row.name == "Amal"


async def test_replicas_are_filled_with_what_was_told(flow: Flow) -> None:
    """A stand-in owns what it was told to say, and nothing else."""
    known = await flow.told(example_of(CustomerChanged, name="Amal"))
    async with flow.started_by(lose_and_refill(flow.deployment, known.event.customer_id)) as f:
        await f.published(ReplicaStates, by="till").once()
        await f.replica(CustomerReference, known.event.customer_id).reaches(name="Amal")


async def lose_and_refill(deployment: Deployment, customer: UUID) -> None:
    """The store forgets a customer, and asks the till whom it knows."""
    async with deployment.runtimes["store"].database.transaction() as session:
        await session.delete(await session.get_one(CustomerReference, customer))
        await begin(session, Place("store", CustomerReference), "fill", "the test")


async def test_who_is_under_test_speaks_for_itself(flow: Flow) -> None:
    """And nobody else can be told to say what is not theirs."""
    with pytest.raises(TypeError, match="store is under test"):
        await flow.told(example_of(ParcelPacked))


async def test_other_services_than_those_under_test_are_refused(deployment: Deployment) -> None:
    """pytest keeps what lives for a session, whichever folder asks: a folder of others has to bring its own."""
    check_is_of(deployment, [store.service])
    with pytest.raises(pytest.UsageError, match=r"^store is at work, and till under test: override the fixture `deployment`"):
        check_is_of(deployment, [till.service])


async def test_what_nobody_could_handle_fails_the_block(flow: Flow) -> None:
    """A foreign event that waits for what was never told is no quiet end."""
    with pytest.raises(FlowFailed, match=r"order\.placed in store\.pack waits for customer_reference"):
        async with flow.started_by(flow.told(example_of(OrderPlaced))):
            pass


@pytest.mark.filterwarnings("ignore:Pydantic serializer")
@pytest.mark.parametrize(
    ("made", "breach"),
    [
        (
            lambda **said: ParcelPacked.model_construct(**said | {"article": 17}),
            "article: string_type",
        ),
        (lambda **said: Coloured(**said, colour="red"), "colour: extra_forbidden"),
    ],
    ids=["a value of another type", "a field of its own"],
)
async def test_what_a_contract_does_not_allow_fails_the_block(
    flow: Flow, monkeypatch: pytest.MonkeyPatch, made: Callable[..., ParcelPacked], breach: str
) -> None:
    """Whoever reads it by its contract would bear much of it: here it is said."""
    monkeypatch.setattr(store, "ParcelPacked", made)
    customer = await flow.told(example_of(CustomerChanged))
    order = example_of(OrderPlaced, customer_id=customer.event.customer_id)
    with pytest.raises(FlowFailed, match=f"parcel.packed by store: its contract does not allow {breach}"):
        async with flow.started_by(flow.told(order)):
            pass


async def test_what_was_released_binds_the_block(flow: Flow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the project has a folder of released schemas."""
    schema = ParcelPacked.model_json_schema()
    schema["properties"]["article"]["enum"] = ["tea"]
    (tmp_path / "parcel.packed.v1.json").write_text(json.dumps({"data": schema}))
    monkeypatch.setattr(flow.deployment, "schemas", tmp_path)
    customer = (await flow.told(example_of(CustomerChanged))).event.customer_id
    async with flow.started_by(flow.told(example_of(OrderPlaced, customer_id=customer, article="tea"))):
        pass
    with pytest.raises(FlowFailed, match=r"parcel\.packed by store: its released schema does not allow article: enum"):
        async with flow.started_by(flow.told(example_of(OrderPlaced, customer_id=customer, article="coffee"))):
            pass
