"""What every contender is: a process that fills a queue or an outbox when told `prepare`, and empties it when told `work`.

    python -m benchmarks.peers.usual_way prepare insert 50000      ends when 50,000 messages wait
    python -m benchmarks.peers.usual_way work insert               until SIGTERM

It measures nothing itself: who started it looks at what is committed. Only the standard library is imported here, which every
contender has.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Coroutine
from dataclasses import asdict, dataclass
from typing import Any, Literal, Protocol, get_args

Workload = Literal["relay", "insert", "update", "replica"]
WORKLOADS: tuple[Workload, ...] = get_args(Workload)


@dataclass(frozen=True, slots=True)
class Where:
    """The servers, with a database and a virtual host that belong to this measurement alone; as administrators."""

    name: str
    postgres_url: str
    database_url: str
    amqp_url: str
    management_url: str

    @classmethod
    def from_environment(cls) -> Where:
        """As `environment` put it."""
        return cls(**{name: os.environ[f"BENCH_{name.upper()}"] for name in cls.__slots__})

    def environment(self) -> dict[str, str]:
        """Variables for the contender's process."""
        return {f"BENCH_{name.upper()}": value for name, value in asdict(self).items()}


@dataclass(frozen=True, slots=True)
class Prepared:
    """Where to look: the queue that fills (relay), or the databases in which effects appear."""

    queue: str
    database_url: str
    more_databases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Told:
    """What the command line asks for. `options` are the contender's own, such as `tuned`."""

    step: Literal["prepare", "work"]
    workload: Workload
    count: int
    options: frozenset[str]

    @classmethod
    def by(cls, arguments: list[str]) -> Told:
        """Reads the command line."""
        step, workload, count, *options = arguments
        if step not in ("prepare", "work") or workload not in WORKLOADS:
            raise SystemExit(f"say prepare or work, and one of {', '.join(WORKLOADS)}")
        return cls("prepare" if step == "prepare" else "work", workload, int(count), frozenset(options))


class Contender(Protocol):
    """One that works with asyncio."""

    async def prepare(self, workload: Workload, count: int) -> Prepared:
        """Makes tables and queues, and leaves `count` events waiting: in the outbox for `relay`, otherwise in the queue."""

    async def work(self, workload: Workload) -> None:
        """Works until it is cancelled."""


def say(prepared: Prepared) -> None:
    """Tells who started this process where to look."""
    print(json.dumps(asdict(prepared)), flush=True)


def main(make: Any, run: Any = asyncio.run) -> None:
    """The process of a Contender. `make` is given Where and the options; `run` runs a coroutine."""
    told = Told.by(sys.argv[1:])
    contender: Contender = make(Where.from_environment(), told.options)
    if told.step == "prepare":
        say(run(contender.prepare(told.workload, told.count)))
    else:
        run(_until_told(contender.work(told.workload)))


async def _until_told(work: Coroutine[Any, Any, None]) -> None:
    task = asyncio.ensure_future(work)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await task
