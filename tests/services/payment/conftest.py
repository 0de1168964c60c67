"""Payment at work over a database of its own, and a card provider that it can be put in front of."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from broker._calls import CallWorkers
from broker._listener import Listener
from nilecare.simulator import CardSimulator
from services.payment.app import service
from tests.services.kit import Workplace
from tests.services.payment.given import OTHER_PATIENT, PATIENT, SECRET, invoice, patient
from tests.services.shared import Workplaces


@pytest.fixture
async def payment(workplaces: Workplaces) -> AsyncIterator[Workplace]:
    """With two patients, and an invoice of 100.00 of one of them."""
    async with workplaces.of(service) as workplace:
        workplace.app.state.outside = {"card_provider_secret": SECRET}
        for event in (patient(PATIENT), patient(OTHER_PATIENT), invoice("100.00")):
            await workplace.deliver(event)
        yield workplace


@pytest.fixture
async def simulator(payment: Workplace) -> AsyncIterator[CardSimulator]:
    """The simulated provider as a server; payment's calls reach it, and its webhooks reach payment."""
    listener = Listener(payment.app, "127.0.0.1", 0)
    await listener.start()
    url = f"http://127.0.0.1:{listener.port}/api/v1/webhooks/card"
    provider = CardSimulator(secret=SECRET, webhook_url=url, slow=0.05)
    async with provider.serving() as address:
        outside = {"card_provider": address, "card_provider_secret": SECRET}
        workers = CallWorkers(payment.database, service.calls, outside, interval=0.02, first_pause=0.02)
        await workers.start()
        yield provider
        await workers.stop()
    await listener.stop()
