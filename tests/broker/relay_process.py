"""A relay to be run in a process of its own, and killed."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from broker._relay import Relay
from broker._settings import Settings


async def main(settings: Settings, subscribed: Mapping[str, frozenset[str]]) -> None:
    """Relays until it is killed."""
    await Relay("post", settings, subscribed=subscribed).start()
    await asyncio.Event().wait()
