"""What a platform is made of, as something that is killed, or stands still, and goes on."""

from __future__ import annotations

import asyncio
import os
import signal
from abc import ABC, abstractmethod
from typing import Literal

from broker.servers.servers import Server
from tests.faults.operated import Operated


class Part(ABC):
    """A process, or several, that are at work to begin with."""

    def __init__(self) -> None:
        self._state: Literal["at work", "still", "dead"] = "at work"
        self._changes = asyncio.Lock()

    async def kill(self) -> None:
        """kill -9, of what has come back."""
        async with self._changes:
            await self._kill()
            self._state = "dead"

    async def stand_still(self) -> None:
        """Its connections stay open, and nothing answers. What is dead stays so."""
        async with self._changes:
            if self._state == "at work":
                await self._pause()
                self._state = "still"

    async def go_on(self) -> None:
        """Comes back when it is at work again, which takes a server seconds."""
        async with self._changes:
            if self._state == "dead":
                await self._start()
            elif self._state == "still":
                await self._resume()
            self._state = "at work"

    @abstractmethod
    async def _kill(self) -> None: ...
    @abstractmethod
    async def _start(self) -> None: ...
    @abstractmethod
    async def _pause(self) -> None: ...
    @abstractmethod
    async def _resume(self) -> None: ...


class ServerPart(Part):
    """A server of the test's own."""

    def __init__(self, server: Server) -> None:
        super().__init__()
        self._server = server

    async def _kill(self) -> None:
        await asyncio.to_thread(self._server.kill)

    async def _start(self) -> None:
        await asyncio.to_thread(self._server.start)

    async def _pause(self) -> None:
        await asyncio.to_thread(self._server.pause)

    async def _resume(self) -> None:
        await asyncio.to_thread(self._server.resume)


class CopyPart(Part):
    """The only copy of a service. Made, it is started."""

    def __init__(self, operated: Operated, service: str) -> None:
        super().__init__()
        self._operated, self._service = operated, service
        self._process = operated.start(service)

    async def _kill(self) -> None:
        await self._operated.kill(self._process)

    async def _start(self) -> None:
        self._process = self._operated.start(self._service)

    async def _pause(self) -> None:
        self._signal(signal.SIGSTOP)

    async def _resume(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process.pid is not None
        os.kill(self._process.pid, number)
