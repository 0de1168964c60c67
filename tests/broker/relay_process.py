"""A relay in a process of its own, to be killed: `python -m tests.broker.relay_process DATABASE_URL AMQP_URL`."""

from __future__ import annotations

import asyncio
import sys

from broker._relay import Relay
from broker._settings import Settings

SUBSCRIBED = {"parcel.moved": frozenset({"shop.follow"})}


async def main(database_url: str, amqp_url: str) -> None:
    """Relays until it is killed."""
    settings = Settings(database_url=database_url, amqp_url=amqp_url, relay_batch=50)
    await Relay("post", settings, subscribed=SUBSCRIBED).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
