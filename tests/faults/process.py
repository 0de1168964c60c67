"""A copy of one service in a process of its own, to be stopped and killed: `start(Copy(…))`.

Processes are forked from one that has imported everything, so that a killed one is replaced in a tenth of a second. Each ends
with the test's own process, however that ends.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import random
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import uvloop
from sqlalchemy import select

from broker import Settings
from broker._context import Cause, caused_by, uuid7
from broker._database import Database
from broker._logs import configure_logs
from broker._loop import Loop
from broker._publishing import publish
from broker._runtime import Runtime
from broker._service import check_platform
from tests.faults.services import NOTES, Folder, Orders, Release

WRITERS = 2
"""Of each copy of the desk."""

AT_ONCE = 2
"""Folders that a writer touches in one transaction."""

_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload([__name__])


@dataclass(frozen=True, kw_only=True)
class Copy:
    """Which service to run, in which release. log: the file for all it says."""

    service: str
    release: Release
    settings: Settings
    log: Path


def start(copy: Copy) -> ForkServerProcess:
    """A process that runs the copy until it is asked to end."""
    process = _processes.Process(target=_main, args=(copy,), daemon=True)
    process.start()
    return process


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


def _main(copy: Copy) -> None:
    with copy.log.open("a") as log:
        for stream in (1, 2):
            os.dup2(log.fileno(), stream)
    configure_logs()
    uvloop.run(_run(copy))


async def _run(copy: Copy) -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    asyncio.get_running_loop().add_reader(parent.sentinel, os._exit, 1)
    services = copy.release.services()
    runtime = Runtime(services[copy.service], copy.settings, subscribed=check_platform(services.values()))
    names = [f"writer {number}" for number in range(WRITERS)] if copy.service == "desk" else []
    writers = [Writer(runtime.database, copy.release, name) for name in names]
    for writer in writers:
        await writer.start()
    await runtime.serve()
    for writer in writers:
        await writer.stop()
