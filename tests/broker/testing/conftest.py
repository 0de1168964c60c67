"""The shop at work, and a courier that a test can keep waiting."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from uuid import UUID, uuid4

import httpx
import pytest

from broker import Service
from broker.testing import Deployment, World
from tests.broker.testing.courier import Courier
from tests.broker.testing.shop.store import app as store
from tests.broker.testing.shop.till import app as till


class Town(World):
    """Where the courier is."""

    def __init__(self, courier: Courier) -> None:
        self.courier = courier
        self.answering = [courier]

    def settings(self, service: Service, addresses: Mapping[str, str]) -> Mapping[str, str]:
        return {"courier": self.courier.url}


@pytest.fixture(scope="session")
async def courier() -> AsyncIterator[Courier]:
    """The courier, who fetches at once unless told otherwise."""
    async with Courier() as courier:
        yield courier


@pytest.fixture(scope="session")
def world_outside(courier: Courier) -> World:
    """The town."""
    return Town(courier)


@pytest.fixture(scope="session")
def services_under_test() -> Sequence[Service]:
    """The shop."""
    return [till.service, store.service]


class Customer:
    """Somebody who buys, as the till's clerk sees them."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.id = uuid4()
        self._client = client

    async def is_called(self, name: str) -> httpx.Response:
        """The till keeps a name."""
        return (await self._client.put(f"/customers/{self.id}", json={"name": name})).raise_for_status()

    async def orders(self, article: str) -> UUID:
        """Something is wanted; the order's id."""
        asked = {"customer_id": str(self.id), "article": article}
        return UUID((await self._client.post("/orders", json=asked)).raise_for_status().json()["order_id"])

    async def cancels(self, order: UUID) -> None:
        """It is wanted no more."""
        (await self._client.post(f"/orders/{order}/cancel")).raise_for_status()


@pytest.fixture
async def customer(deployment: Deployment) -> AsyncIterator[Customer]:
    """Somebody whom nobody knows yet."""
    async with deployment.client("till", deployment.token("clerk")) as client:
        yield Customer(client)
