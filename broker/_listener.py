"""The HTTP server of one service, beside others in the same process."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import uvicorn
from fastapi import FastAPI

GRACE = 8
"""Seconds that requests under way have to end when the server stops."""


KEEP_ALIVE = 30
"""Seconds that an idle connection is kept: longer than clients keep theirs (httpx: 5), or they send into one that closes."""


class _Server(uvicorn.Server):
    """uvicorn without hands on the process's signals."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Listener:
    """Serves an application on one address. Port 0 takes a free one; `port` tells which."""

    def __init__(self, app: FastAPI, host: str, port: int) -> None:
        config = uvicorn.Config(
            app,
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,  # the client is whoever is connected, not whom a header names
            server_header=False,
            timeout_graceful_shutdown=GRACE,
            timeout_keep_alive=KEEP_ALIVE,
        )
        self._server = _Server(config)
        self._host = host
        self.port = port
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Comes back when requests are answered. Raises OSError when the address cannot be had."""
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        listening = socket.create_server((self._host, self.port), family=family, backlog=512)
        listening.setblocking(False)
        # Connections inherit it. Under Nagle's algorithm the rest of an answer waits for the client's delayed ACK: 40 ms.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.port = listening.getsockname()[1]
        self._task = asyncio.create_task(self._server.serve(sockets=[listening]), name=f"http {self.port}")

    async def stop(self) -> None:
        """Takes no more requests and lets those under way end."""
        self._server.should_exit = True
        if self._task is not None:
            await self._task
            self._task = None
