"""A message that is broken on purpose, for somebody to find among the dead letters."""

from __future__ import annotations

import asyncio
import time
from uuid import UUID, uuid4

import aiormq
from sqlalchemy import select

from broker import Envelope, clock
from broker._context import uuid7
from broker._database import Database
from broker._tables import failed_message
from contracts.clinical import ProcedurePerformed

PATIENCE = 60.0
INTERVAL = 0.1


async def break_a_message(amqp_url: str, account: str, billing: Database) -> str:
    """Sends, with clinical's own account and on its own exchange, a procedure that says nothing; gives what to call it by.

    Billing keeps it as a dead letter. Raises TimeoutError when it does not.
    """
    event = ProcedurePerformed.contract
    envelope = Envelope(
        id=uuid7(),
        type=event.name,
        source=event.publisher,
        subject=str(uuid4()),
        version=event.version,
        sequence=1,
        flow=uuid7(),
        cause=None,
        trace=None,
        time=clock.now(),
        body=b'{"sent_by": "a program that does not know the contract"}',
    )
    connection = await aiormq.connect(amqp_url)
    try:
        channel = await connection.channel()
        properties = envelope.properties(account)
        await channel.basic_publish(envelope.body, exchange=event.publisher, routing_key=event.name, properties=properties)
    finally:
        await connection.close()
    return f"billing/{await _position(billing, envelope.id)}"


async def _position(database: Database, message: UUID) -> int:
    """Where a message stands among the dead ones, once it does."""
    dead = select(failed_message.c.position).where(failed_message.c.id == message, failed_message.c.state == "dead")
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        async with database.engine.connect() as connection:
            position = await connection.scalar(dead)
        if position is not None:
            return int(position)
        await asyncio.sleep(INTERVAL)
    raise TimeoutError(f"billing did not set the broken message aside within {PATIENCE:.0f} seconds")
