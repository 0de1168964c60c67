"""A consumer in a process of its own, to be killed: `python -m tests.broker.consumer_process DATABASE AMQP KILLER`.

It ends itself, as a segmentation fault would, whenever it handles the event with the number KILLER. At the number -1 it
says so on its standard output and waits to be killed in the middle of a batch.
"""

from __future__ import annotations

import asyncio
import os
import sys

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from broker._database import Database, engine_for
from tests.broker.consuming import Happened, Ledger, consumer, service_with, write_down


async def main(database_url: str, amqp_url: str, killer: str) -> None:
    """Consumes until it is killed or kills itself."""

    async def handle(event: Happened, session: AsyncSession) -> None:
        await write_down(event, session)
        if event.number == int(killer):
            await session.flush()
            os._exit(9)
        if event.number == -1 and not await waited(session):
            await session.flush()
            sys.stdout.write("in the middle\n")
            sys.stdout.flush()
            await asyncio.Event().wait()

    ledger = Ledger(Database(engine_for(database_url), "ledger"), database_url)
    await consumer(ledger, amqp_url, service_with(handle), batch=200).start()
    await asyncio.Event().wait()


async def waited(session: AsyncSession) -> bool:
    """Whether it is not to wait any more: the test wrote so into the database."""
    return bool((await session.execute(text("SELECT count(*) FROM singular"))).scalar())


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
