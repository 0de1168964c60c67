"""Servers that are killed or stand still under load: services come back by themselves, with one effect each, in order."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import pytest

from broker.servers import Stack
from broker.servers.servers import Server
from tests.faults.house import House
from tests.waiting import until


@contextlib.asynccontextmanager
async def standing_still(server: Server) -> AsyncIterator[None]:
    """The server's connections stay open, and nothing answers."""
    await asyncio.to_thread(server.pause)
    try:
        yield
    finally:
        await asyncio.to_thread(server.resume)


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("victim", "times"), [("rabbitmq", 3), ("postgres", 5)])
async def test_a_server_killed_under_load(
    own_house: House, own_stack: Stack, victim: str, times: int, kills: Callable[[int], int]
) -> None:
    """However often the broker or PostgreSQL is killed, everybody goes on once it is back, and nothing is lost or doubled."""
    server = getattr(own_stack, victim)
    for service in ("desk", "archive", "archive"):
        own_house.start(service)
    await own_house.write()
    for _ in range(kills(times)):
        await own_house.grown("archive", by=20)
        await asyncio.to_thread(server.kill)
        await asyncio.to_thread(server.start)
    await own_house.proven()


async def test_a_database_that_stands_still(own_house: House, own_stack: Stack, kills: Callable[[int], int]) -> None:
    """PostgreSQL stops answering in the middle of a batch whose process is then killed: the other copy comes after it."""
    copies = [own_house.start("archive"), own_house.start("archive")]
    own_house.start("desk")
    await own_house.write()
    for _ in range(kills(5)):
        await own_house.grown("archive", by=20)
        await until(lambda: own_house.is_writing("archive"))
        async with standing_still(own_stack.postgres):
            await own_house.kill(copies.pop(0))
            copies.append(own_house.start("archive"))
    await own_house.proven()


async def test_a_stop_while_the_database_stands_still(own_house: House, own_stack: Stack) -> None:
    """A copy asked to end while PostgreSQL does not answer ends in its time, and the other one goes on behind it."""
    at_work = own_house.start("archive", haste=5)
    own_house.start("desk")
    await own_house.write()
    await own_house.grown("archive", by=20)
    own_house.start("archive")
    await until(lambda: own_house.is_writing("archive"))
    async with standing_still(own_stack.postgres):
        at_work.terminate()
        await own_house.ended(at_work, within=12)
    await own_house.proven()
