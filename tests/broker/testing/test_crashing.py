"""Tests that are run once for each point at which a process can die."""

from __future__ import annotations

import pytest

from broker.testing import Flow
from tests.broker.testing.conftest import Customer
from tests.broker.testing.shop.store_says import ParcelPacked


@pytest.mark.every_crash_point
async def test_an_order_is_packed_once_whoever_dies(flow: Flow, customer: Customer) -> None:
    """Whichever process dies wherever, the parcel is packed once."""
    async with flow.started_by(customer.is_called("Amal")):
        pass
    async with flow.started_by(customer.orders("tea")) as f:
        packed = await f.published(ParcelPacked, by="store").once()
        await f.handled(packed, by="till")
