"""Facility at work, over a database of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from services.facility.app import service
from tests.services.facility.house import House
from tests.services.kit import Workplace
from tests.services.shared import Workplaces


@pytest.fixture
async def facility(workplaces: Workplaces) -> AsyncIterator[Workplace]:
    async with workplaces.of(service) as workplace:
        yield workplace


@pytest.fixture
async def house(facility: Workplace) -> House:
    """A facility with a department, and no beds yet."""
    return await House.open(facility)
