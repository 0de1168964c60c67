"""A copy of one service in a process of its own, to be stopped and killed: `start(Copy(…))`."""

from __future__ import annotations

import asyncio
import os
import random
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Protocol

from sqlalchemy import select

from broker import Service, Settings, _runtime
from broker._context import Cause, caused_by, uuid7
from broker._crash_points import CrashPoint, arm
from broker._database import Database
from broker._logs import configure_logs
from broker._loop import Loop
from broker._publishing import publish
from broker._runtime import Runtime
from broker._service import check_platform
from broker.testing import forked
from broker.testing.processes import LATE
from tests.faults.services import NOTES, Folder, Orders, Release

forked.preload(__name__, *LATE)

WRITERS = 2
"""Of each copy of the desk."""

AT_ONCE = 2
"""Folders that a writer touches in one transaction."""


class Declared(Protocol):
    """What can be sent to another process and says there which services a platform has."""

    def services(self) -> dict[str, Service]:
        """The services, by name."""


@dataclass(frozen=True, kw_only=True)
class Copy:
    """Which service to run, in which release. log: the file for all it says.

    haste: how many times sooner than in production it breaks off what does not end when it is asked to.
    dies_at: where it ends as kill -9 does, and how often it has to pass there for that. line: says that later, and is answered.
    rotate_after: events after which the outbox's tables take turns.
    """

    service: str
    release: Declared
    settings: Settings
    log: Path
    haste: float = 1.0
    dies_at: tuple[CrashPoint, int] | None = None
    line: Connection | None = None
    rotate_after: int | None = None


def start(copy: Copy) -> ForkServerProcess:
    """A process that runs the copy until it is asked to end."""
    return forked.start(_main, copy)


class Writer(Loop):
    """Writes notes into a few folders in each transaction, at a steady pace, for as long as it is ordered to."""

    longest_pause = 0.4

    def __init__(self, database: Database, release: Release, name: str) -> None:
        super().__init__(name, interval=0.05)
        self._database, self._event = database, NOTES[release.version]

    async def run_once(self) -> bool:
        """One transaction."""
        with caused_by(Cause(uuid7())):
            async with self._database.transaction() as session:
                if await session.scalar(select(Orders.writing)):
                    ids = list(await session.scalars(select(Folder.id)))
                    chosen = select(Folder).where(Folder.id.in_(random.sample(ids, AT_ONCE))).order_by(Folder.id)
                    for folder in await session.scalars(chosen.with_for_update()):
                        publish(session, folder.write(self._event))
        return False


def _listen(line: Connection) -> None:
    point, times = line.recv()
    arm(point, times=times)
    line.send(point)


async def _main(copy: Copy) -> None:
    with copy.log.open("a") as log:
        for stream in (1, 2):
            os.dup2(log.fileno(), stream)
    configure_logs()
    for part in ("WORK", "LOOPS", "RELAY", "DATABASE"):
        setattr(_runtime, part, getattr(_runtime, part) / copy.haste)
    if copy.dies_at is not None:
        point, times = copy.dies_at
        arm(point, times=times)
    if copy.line is not None:
        asyncio.get_running_loop().add_reader(copy.line.fileno(), _listen, copy.line)
    services = copy.release.services()
    runtime = Runtime(services[copy.service], copy.settings, subscribed=check_platform(services.values()))
    if copy.rotate_after is not None:
        vars(runtime.relay)["_rotate_after"] = copy.rotate_after
    if isinstance(copy.release, Release) and copy.service == "desk":
        # Stopped with the service's own loops: a writer that goes on would wait 30 s for a connection of the closed database.
        vars(runtime)["_loops"] += [Writer(runtime.database, copy.release, f"writer {number}") for number in range(WRITERS)]
    await runtime.serve()
