"""A process that carries out what is asked for on the desk, to be killed: `python -m tests.broker.replay_process DATABASE`.

It prints a line for each outcome that is committed.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from uuid import UUID

from broker._actions import Result
from tests.broker.failing import make_desk


async def main(database_url: str, action: str) -> None:
    """Carries the action out, to its end."""
    desk = await make_desk(database_url)

    async def tell(outcomes: Mapping[int, Result]) -> None:
        for position in outcomes:
            sys.stdout.write(f"{position}\n")
        sys.stdout.flush()

    await desk.actions.carry_out(UUID(action), tell)
    await desk.database.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
