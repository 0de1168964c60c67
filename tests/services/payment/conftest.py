"""Payment at work over a database of its own, and a card provider that it can be put in front of."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text

from broker._calls import CallWorkers
from broker._listener import Listener
from nilecare.simulator import CardSimulator
from nilecare.stack import Servers
from services.payment.app import service
from tests.scratch import Databases
from tests.services.kit import Workplace
from tests.services.payment.given import OTHER_PATIENT, PATIENT, SECRET, invoice, patient

EMPTIED = text(
    """
    DO $$
    DECLARE one record;
    BEGIN
        SET LOCAL session_replication_role = replica;  -- no order among tables that refer to each other
        FOR one IN
            SELECT schemaname, tablename FROM pg_tables
            WHERE schemaname IN ('public', 'backbone')
                  AND tablename NOT IN ('payment_providers', 'alembic_version', 'outbox_state', 'clock')
        LOOP
            EXECUTE format('DELETE FROM %I.%I', one.schemaname, one.tablename);
        END LOOP;
    END $$
    """
)
"""Leaves a database as the migrations made it: ten times as fast as another database."""


@pytest.fixture(scope="module")
async def workplace(servers: Servers) -> AsyncIterator[Workplace]:
    """One for all tests of a module."""
    databases = Databases(servers.postgres_url)
    async with Workplace.of(service, databases) as workplace:
        yield workplace
    await databases.drop()


@pytest.fixture
async def payment(workplace: Workplace) -> AsyncIterator[Workplace]:
    """With two patients, and an invoice of 100.00 of one of them."""
    workplace.app.state.outside = {"card_provider_secret": SECRET}
    for event in (patient(PATIENT), patient(OTHER_PATIENT), invoice("100.00")):
        await workplace.deliver(event)
    yield workplace
    async with workplace.transaction() as session:
        await session.execute(EMPTIED)


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
