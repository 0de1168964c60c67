"""The health record at work, over a database of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from services.ehr.app import service
from tests.services.ehr.given import known
from tests.services.kit import Workplace
from tests.services.shared import Workplaces


@pytest.fixture
async def ehr(workplaces: Workplaces) -> AsyncIterator[Workplace]:
    """With a patient, an encounter of theirs, and people who write."""
    async with workplaces.of(service) as workplace:
        await known(workplace)
        yield workplace
