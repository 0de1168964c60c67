"""A process that carries out what is asked for on the desk, to be killed.

It tells, of each batch that is committed, how many outcomes that were.
"""

from __future__ import annotations

from collections.abc import Mapping
from multiprocessing.connection import Connection
from uuid import UUID

from broker._actions import Result
from tests.broker.failing import make_desk


async def main(database_url: str, action: UUID, line: Connection) -> None:
    """Carries the action out, to its end."""
    desk = await make_desk(database_url)

    async def tell(outcomes: Mapping[int, Result]) -> None:
        line.send(len(outcomes))

    await desk.actions.carry_out(action, tell)
    await desk.database.close()
