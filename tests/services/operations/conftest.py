"""Operations at work, over its database."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from services.operations.app import service
from tests.services.kit import Workplace
from tests.services.shared import Workplaces


@pytest.fixture
async def operations(workplaces: Workplaces) -> AsyncIterator[Workplace]:
    async with workplaces.of(service) as workplace:
        yield workplace
