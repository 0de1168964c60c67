"""The HTTP server of a service: on a free port, and without a wait in its answers."""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from broker._listener import Listener


@pytest.fixture
async def listener() -> AsyncIterator[Listener]:
    listener = Listener(FastAPI(), "127.0.0.1", 0)
    await listener.start()
    yield listener
    await listener.stop()


async def test_answers_are_sent_at_once(listener: Listener) -> None:
    """No part of an answer waits for the client to acknowledge the one before (Nagle's algorithm)."""
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{listener.port}") as client:
        assert (await client.get("/openapi.json")).status_code == 200
        found = [
            connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            for connection in sockets_of_this_process()
            if is_accepted_at(connection, listener.port)
        ]
    assert found
    assert all(found)


async def test_a_port_that_is_taken(listener: Listener) -> None:
    """Is said at once, not by a task that nobody waits for."""
    with pytest.raises(OSError, match="in use"):
        await Listener(FastAPI(), "127.0.0.1", listener.port).start()


def sockets_of_this_process() -> Iterator[socket.socket]:
    """A duplicate of each, closed when the next is asked for."""
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(OSError), socket.socket(fileno=os.dup(int(descriptor.name))) as connection:
            yield connection


def is_accepted_at(connection: socket.socket, port: int) -> bool:
    with suppress(OSError):
        return connection.family == socket.AF_INET and connection.getsockname()[1] == port and bool(connection.getpeername())
    return False
