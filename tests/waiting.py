"""Waiting for what is meant: a condition, looked at again and again, with a limit and a message when it never holds."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

PAUSE = 0.02
"""Seconds between two looks."""


async def until(condition: Callable[[], Awaitable[T]], *, within: float = 30.0) -> T:
    """The first true value of `condition`. Fails when there is none within so many seconds, showing the last value."""
    seen: object = None
    never = asyncio.Event()
    try:
        async with asyncio.timeout(within):
            while True:
                value = await condition()
                if value:
                    return value
                seen = value
                with_pause = asyncio.create_task(never.wait())
                await asyncio.wait([with_pause], timeout=PAUSE)
                with_pause.cancel()
    except TimeoutError:
        raise AssertionError(f"{condition.__qualname__} did not hold within {within} s; last seen: {seen!r}") from None
