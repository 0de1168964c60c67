"""Every service's migrations build exactly what its models say."""

from __future__ import annotations

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection

from broker import Service
from broker._database import engine_for
from broker.testing.scratch import Databases
from nilecare.platform import services

VERSIONS = {"backbone_version", "service_version"}
"""Alembic's own tables."""


@pytest.mark.parametrize("service", services(), ids=lambda service: service.name)
async def test_migrations_equal_the_models(service: Service, database: Databases) -> None:
    """A database that went through the migrations differs in nothing from the models, comments and defaults included."""
    engine = engine_for(await database(tables=service.tables, migrations=service.migrations))

    def differences(connection: Connection) -> list[object]:
        own = {"include_name": lambda name, type_, parents: name not in VERSIONS, "compare_server_default": True}
        return list(compare_metadata(MigrationContext.configure(connection, opts=own), service.tables))

    async with engine.connect() as connection:
        found = await connection.run_sync(differences)
    await engine.dispose()
    assert found == []
