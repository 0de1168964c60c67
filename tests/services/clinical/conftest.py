"""Clinical at work, over a database of its own, with two houses that are open."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import pytest

from contracts.facility import FacilityChanged, FacilityStatus
from services.clinical.app import service
from tests.services.kit import Workplace
from tests.services.shared import Workplaces

HERE, ELSEWHERE = uuid4(), uuid4()


def house(facility_id: UUID, status: FacilityStatus = "active", *, version: int = 1) -> FacilityChanged:
    """What facility says of a house."""
    about = {"name": "Khartoum General", "kind": "hospital", "time_zone": "Africa/Khartoum", "currency": "USD"}
    return FacilityChanged(facility_id=facility_id, status=status, state_version=version, deleted=False, **about)


@pytest.fixture
async def clinical(workplaces: Workplaces) -> AsyncIterator[Workplace]:
    async with workplaces.of(service) as workplace:
        await workplace.deliver(house(HERE))
        await workplace.deliver(house(ELSEWHERE))
        yield workplace
