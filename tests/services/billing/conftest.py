"""Billing at work, over a database of its own, with a patient and a facility that are known to it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from services.billing.app import service
from tests.services.billing.given import PATIENT, facility, patient
from tests.services.kit import Workplace
from tests.services.shared import Workplaces


@pytest.fixture
async def billing(workplaces: Workplaces) -> AsyncIterator[Workplace]:
    async with workplaces.of(service) as workplace:
        await workplace.deliver(facility())
        await workplace.deliver(patient(PATIENT))
        yield workplace
