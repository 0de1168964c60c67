"""Eight subscribers of the same events, each with a database of its own: `together` in one process, otherwise in one each."""

from __future__ import annotations

import asyncio
import contextlib
import sys

import uvloop

from benchmarks.contending import Prepared, Where, Workload, main
from benchmarks.effects import Base
from benchmarks.ours import inserting
from benchmarks.ours import reader as says_nothing
from benchmarks.ours.__main__ import LEDGER, Backbone, published
from broker import Service
from broker._database import engine_for
from broker._logs import configure_logs
from broker._provision import provision
from broker._runtime import Runtime
from broker._service import check_platform

READERS = [Service(name=f"reader{number}", port=0, contracts=says_nothing, handlers=inserting) for number in range(1, 9)]


class Eight(Backbone):
    """The option `only=3` is for a child that runs the third alone."""

    def __init__(self, where: Where, options: frozenset[str]) -> None:
        super().__init__(where, options)
        only = {option.partition("=")[2] for option in options if option.startswith("only=")}
        self._chosen = [reader for reader in READERS if not only or reader.name[-1] in only]
        self._alone = bool(only) or "together" in options

    async def prepare(self, workload: Workload, count: int) -> Prepared:
        await provision(self._platform, [LEDGER, *READERS])
        urls = [self._platform.database_url(reader.name) for reader in READERS]
        for url in urls:
            engine = engine_for(url)
            async with engine.begin() as connection:
                await connection.run_sync(Base.metadata.create_all)
            await engine.dispose()
        await self._publish(published(workload, count // len(READERS)))
        await self._relay_all()
        return Prepared("", urls[0], tuple(urls[1:]))

    async def work(self, workload: Workload) -> None:
        if not self._alone:
            await self._in_processes()
            return
        configure_logs("WARNING")
        subscribed = check_platform([LEDGER, *READERS])
        runtimes = [Runtime(reader, self._platform.settings_for(reader), subscribed=subscribed) for reader in self._chosen]
        for runtime in runtimes:
            await runtime.start()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.gather(*(runtime.stop() for runtime in runtimes))

    async def _in_processes(self) -> None:
        command = (sys.executable, "-m", "benchmarks.ours.eight", *sys.argv[1:4])
        children = [await asyncio.create_subprocess_exec(*command, f"only={reader.name[-1]}") for reader in READERS]
        try:
            await asyncio.gather(*(child.wait() for child in children))
        finally:
            for child in children:
                with contextlib.suppress(ProcessLookupError):
                    child.terminate()
            await asyncio.gather(*(child.wait() for child in children))


if __name__ == "__main__":
    main(Eight, uvloop.run)
