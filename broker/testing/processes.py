"""A service in a process of its own, which dies where a test wants it to, and is started again like by any supervisor."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from operator import attrgetter
from pathlib import Path
from urllib.parse import urlsplit

from broker._clock import clock
from broker._crash_points import CrashPoint, arm, watch
from broker._logs import configure_logs
from broker._runtime import Runtime
from broker._service import Service
from broker._settings import Settings
from broker.testing import forked

LATE = (
    "anyio._backends._asyncio",
    "pydantic.v1",
    "uvicorn.lifespan.on",
    "uvicorn.protocols.http.auto",
    "uvicorn.protocols.websockets.auto",
)
"""What others import only when a service starts."""

PAUSE = 0.02
"""Seconds between two attempts to reach a process that starts."""

SOON = 1.0
"""Seconds in which it is known that a process has ended whose connections are closed."""

ARMED = "armed"
"""What a process says when it knows where it is to die."""

TAIL = 2000
"""Characters of a log that a failure shows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """What a process is told. module, attribute: where its service stands. log: the file for all it says.

    shift: how far business time is from the wall clock when it starts.
    """

    module: str
    attribute: str
    settings: Settings
    subscribed: Mapping[str, frozenset[str]]
    log: Path
    shift: timedelta = timedelta()


class ServiceProcess:
    """One service's process. It is started again whenever it was ended by a crash point; `died_at` are those that ended it.

    passed: the points that it has passed since it was armed. mourn: is called when it is at work again after a death.
    """

    def __init__(
        self,
        service: Service,
        settings: Settings,
        subscribed: Mapping[str, frozenset[str]],
        log: Path,
        mourn: Callable[[], Awaitable[None]],
    ) -> None:
        module, attribute = where(service)
        self.service = service
        self.passed: dict[CrashPoint, None] = {}
        self.died_at: list[CrashPoint] = []
        self._orders = Orders(module=module, attribute=attribute, settings=settings, subscribed=subscribed, log=log)
        self._mourn = mourn
        self._armed: CrashPoint | None = None
        self._wanted: CrashPoint | None = None
        self._died, self._knows = asyncio.Event(), asyncio.Event()
        self._process: ForkServerProcess | None = None
        self._line: Connection | None = None
        self._reviving: asyncio.Task[None] | None = None
        forked.preload(__name__, module, *LATE)

    @property
    def is_up(self) -> bool:
        """Whether it is at work, or about to be again."""
        return self._process is not None

    async def start(self) -> None:
        """Returns when its API listens. Raises RuntimeError when it ended instead."""
        self._line, theirs = multiprocessing.Pipe()
        self._process = forked.start(_main, replace(self._orders, shift=clock.shift), theirs)
        theirs.close()
        loop = asyncio.get_running_loop()
        loop.add_reader(self._line.fileno(), self._heard)
        loop.add_reader(self._process.sentinel, self._ended)
        await self._listens()

    async def stop(self) -> None:
        """Ends it in order."""
        await self.steady()
        process = self._let_go()
        if process is not None:
            process.terminate()
            await asyncio.to_thread(process.join)

    async def steady(self) -> None:
        """Returns when it is not about to be started again."""
        if self._reviving is not None:
            await self._reviving

    async def is_back(self) -> bool:
        """Whether it is at work, once it is known whether a connection was lost because it has ended."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._died.wait(), SOON)
        await self.steady()
        return self.is_up

    async def arm(self, point: CrashPoint | None) -> None:
        """Has it die where it passes this point next; with None, nowhere. Returns when the process knows."""
        self._wanted = point
        self._knows.clear()
        while not self._knows.is_set():
            await self.steady()
            self._died.clear()
            with contextlib.suppress(OSError):  # it may die at the point before at this very moment
                self._talk.send(point.name if point is not None else None)
            await self._first_of(self._knows, self._died)

    @property
    def _talk(self) -> Connection:
        """The line to the process. Raises RuntimeError when it has ended."""
        if self._line is None:
            raise RuntimeError(f"{self.service.name} has ended:\n{self._orders.log.read_text()[-TAIL:]}")
        return self._line

    @staticmethod
    async def _first_of(*events: asyncio.Event) -> None:
        waiting = [asyncio.ensure_future(event.wait()) for event in events]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for each in waiting:
            each.cancel()

    def _heard(self) -> None:
        assert self._line is not None
        try:
            while self._line.poll():
                self._take(self._line.recv())
        except (EOFError, OSError):
            asyncio.get_running_loop().remove_reader(self._line.fileno())

    def _take(self, told: str) -> None:
        if told == ARMED:
            self.passed.clear()
            self._armed = self._wanted
            self._knows.set()
        else:
            self.passed[CrashPoint[told]] = None

    def _ended(self) -> None:
        """The process is gone: by the point it was armed for, or by itself, which `_listens` or the next call tells."""
        self._heard()
        process = self._let_go()
        assert process is not None
        process.join()
        if process.exitcode == -signal.SIGKILL and self._armed is not None:
            self.died_at.append(self._armed)
            self._died.set()
            self._armed = None
            self._process = process
            self._reviving = asyncio.create_task(self._revive(), name=f"start {self.service.name} again")

    async def _revive(self) -> None:
        await self.start()
        await self._mourn()

    def _let_go(self) -> ForkServerProcess | None:
        process, self._process = self._process, None
        loop = asyncio.get_running_loop()
        if process is not None:
            loop.remove_reader(process.sentinel)
        if self._line is not None:
            loop.remove_reader(self._line.fileno())
            self._line.close()
            self._line = None
        return process

    async def _listens(self) -> None:
        address = urlsplit(f"//{self._orders.settings.host}:{self._orders.settings.port}")
        pause = asyncio.Event()
        while self._process is not None:
            try:
                _, writer = await asyncio.open_connection(address.hostname, address.port)
            except OSError:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(pause.wait(), PAUSE)
            else:
                writer.close()
                return
        raise RuntimeError(f"{self.service.name} ended at its start:\n{self._orders.log.read_text()[-TAIL:]}")


def where(service: Service) -> tuple[str, str]:
    """The module and the name under which a service can be imported. Raises TypeError when there is none."""
    for name, module in list(sys.modules.items()):
        for attribute, value in list(vars(module).items()) if name.endswith("app") else ():
            if value is service:
                return name, attribute
    raise TypeError(f"{service.name} can be started in a process of its own only where it stands in a module `app`")


async def _main(orders: Orders, line: Connection) -> None:
    with orders.log.open("a") as log:
        for stream in (1, 2):
            os.dup2(log.fileno(), stream)
    configure_logs()
    clock.shift = orders.shift
    told: set[CrashPoint] = set()

    def tell(point: CrashPoint) -> None:
        if point not in told:
            told.add(point)
            line.send(point.name)

    def obey() -> None:
        try:
            name = line.recv()
        except EOFError:
            asyncio.get_running_loop().remove_reader(line.fileno())
            return
        told.clear()
        if name is None:
            watch(tell)
        else:
            arm(CrashPoint[name])
        line.send(ARMED)

    watch(tell)
    asyncio.get_running_loop().add_reader(line.fileno(), obey)
    service: Service = attrgetter(orders.attribute)(sys.modules.get(orders.module) or __import__(orders.module, fromlist=["_"]))
    await Runtime(service, orders.settings, subscribed=orders.subscribed).serve()
