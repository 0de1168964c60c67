"""What tests of failing begin with."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from tests.broker.failing import Desk, make_desk


@pytest.fixture
async def desk(database: Callable[..., Awaitable[str]]) -> AsyncIterator[Desk]:
    """A small service whose handler fails as it is told."""
    desk = await make_desk(await database())
    yield desk
    await desk.database.close()
