"""Operations at work, over a database of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from broker.testing.scratch import Databases
from services.operations.app import service
from tests.services.kit import Workplace


@pytest.fixture
async def operations(database: Databases) -> AsyncIterator[Workplace]:
    async with Workplace.of(service, database) as workplace:
        yield workplace
