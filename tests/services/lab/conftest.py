"""The lab at work, over a database of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from services.lab.app import service
from tests.services.kit import Workplace
from tests.services.shared import Workplaces


@pytest.fixture
async def lab(workplaces: Workplaces) -> AsyncIterator[Workplace]:
    async with workplaces.of(service) as workplace:
        yield workplace
