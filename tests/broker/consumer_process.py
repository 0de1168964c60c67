"""A consumer to be run in a process of its own, and killed."""

from __future__ import annotations

import asyncio
import os
from multiprocessing.connection import Connection

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from broker._database import Database, engine_for
from tests.broker.consuming import Happened, Ledger, consumer, service_with, write_down


async def main(database_url: str, amqp_url: str, *, killer: int, teller: Connection) -> None:
    """Consumes until it is killed or kills itself.

    It ends itself, as a segmentation fault would, whenever it handles the event with the number `killer`. At the number -1 it
    tells so, and waits to be killed in the middle of a batch.
    """

    async def handle(event: Happened, session: AsyncSession) -> None:
        await write_down(event, session)
        if event.number == killer:
            await session.flush()
            os._exit(9)
        if event.number == -1 and not await waited(session):
            await session.flush()
            teller.send("in the middle")
            await asyncio.Event().wait()

    ledger = Ledger(Database(engine_for(database_url), "ledger"), database_url)
    await consumer(ledger, amqp_url, service_with(handle), batch=200).start()
    await asyncio.Event().wait()


async def waited(session: AsyncSession) -> bool:
    """Whether it is not to wait any more: the test wrote so into the database."""
    return bool((await session.execute(text("SELECT count(*) FROM singular"))).scalar())
