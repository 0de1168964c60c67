"""The health record at work, over a database of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from services.ehr.app import service
from tests.scratch import Databases
from tests.services.ehr.given import known
from tests.services.kit import Workplace


@pytest.fixture
async def ehr(database: Databases) -> AsyncIterator[Workplace]:
    """With a patient, an encounter of theirs, and people who write."""
    async with Workplace.of(service, database) as workplace:
        await known(workplace)
        yield workplace
