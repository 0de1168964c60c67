"""The servers of a run: where they come from, that they are ours alone, and that no crash of anything stops the next run."""

from __future__ import annotations

import asyncpg

from tests.scratch import Databases, VirtualHosts


async def test_a_database_has_the_backbones_tables(database: Databases) -> None:
    """Each database of a test is fresh and migrated."""
    connection = await asyncpg.connect(await database())
    try:
        assert await connection.fetchval("SELECT count(*) FROM backbone.outbox") == 0
    finally:
        await connection.close()


async def test_a_virtual_host_is_empty(vhost: VirtualHosts) -> None:
    """Each virtual host of a test is fresh."""
    first, second = await vhost(), await vhost()
    assert first != second
