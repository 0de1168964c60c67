"""Who takes part, in which virtual environment, with what promise."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from benchmarks.contending import WORKLOADS, Workload

HERE = Path(__file__).parent
ENVIRONMENTS = HERE.parent / ".local" / "bench"

Promise = Literal["loses events on a crash", "at least once", "exactly one effect"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """One way to do the work.

    module: its process, which `benchmarks.contending` describes. requirements: the file of its packages, None for the project's
    own environment. options: handed to the module. share: the part of the events that it is given; a slow one's rate shows with
    fewer. extra_lines: how many lines it was given for what it lacks. cannot: workloads it has no way for, and why.
    """

    name: str
    module: str
    promise: Promise
    settings: str
    workloads: tuple[Workload, ...] = WORKLOADS
    requirements: str | None = None
    options: tuple[str, ...] = ()
    share: float = 1.0
    extra_lines: int = 0
    cannot: Mapping[str, str] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """Its name, told apart from the same with other settings."""
        return f"{self.name} (defaults)" if "default" in self.options else self.name

    @property
    def slug(self) -> str:
        """Its name, for files."""
        return re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-")

    @property
    def environment(self) -> Path:
        """Its virtual environment."""
        return ENVIRONMENTS / self.requirements.removesuffix(".txt") if self.requirements else Path(sys.prefix)

    def with_options(self, *options: str) -> Contender:
        """The same with more options."""
        return replace(self, options=(*self.options, *options))

    def command(self, step: str, workload: Workload, count: int) -> list[str]:
        """The command line of its process."""
        return [str(self.environment / "bin" / "python"), "-m", self.module, step, workload, str(count), *self.options]


BACKBONE = Contender(
    name="the backbone", module="benchmarks.ours", promise="exactly one effect", settings="as every service runs"
)
USUAL = Contender(
    name="the usual way",
    module="benchmarks.peers.usual_way",
    promise="exactly one effect",
    settings="FastStream, SQLAlchemy, naive outbox and inbox; prefetch 100",
    share=0.3,
)

EIGHT = Contender(
    name="eight in a process each", module="benchmarks.ours.eight", promise="exactly one effect", settings="eight subscribers"
)
TOGETHER = replace(EIGHT, name="eight in one process", options=("together",))

C_CLIENT = Contender(
    name="a C client",
    module="benchmarks.floor.c_client",
    promise="loses events on a crash",
    settings="librabbitmq, 2,000 confirms outstanding, messages made up in memory: no database at all",
    workloads=("relay",),
)

IDLE = Contender(
    name="an idle FastStream application", module="benchmarks.peers.idle", promise="at least once", settings="idle"
)

FASTSTREAM_OUTBOX = Contender(
    name="faststream-outbox",
    module="benchmarks.peers.faststream_outbox",
    promise="at least once",
    settings="16 workers, 200 rows fetched and 100 deleted at a time",
    workloads=("relay",),
    requirements="faststream_outbox.txt",
    share=0.5,
    cannot=dict.fromkeys(("insert", "update", "replica"), "it only relays: what consumes is FastStream, the usual way"),
)

# Lines given to those below: table (3) and statement (2) of the inbox, its use (3) and the call (1). Taskiq also needs the
# import of what tells a message's id (1), Dramatiq that and its middleware (2).
TASKIQ = Contender(
    name="Taskiq",
    module="benchmarks.peers.taskiq_aio_pika",
    promise="loses events on a crash",
    settings="taskiq-aio-pika; 2 processes, prefetch 100; publishes 100 at once",
    requirements="taskiq_aio_pika.txt",
    share=0.2,
    extra_lines=10,
)
CELERY = Contender(
    name="Celery",
    module="benchmarks.peers.celery_",
    promise="loses events on a crash",
    settings="acknowledges late; 2 workers of 8 threads, prefetch 64 for each; publishes from 10 threads",
    requirements="celery_.txt",
    share=0.2,
    extra_lines=9,
)
DRAMATIQ = Contender(
    name="Dramatiq",
    module="benchmarks.peers.dramatiq_",
    promise="loses events on a crash",
    settings="2 processes of 8 threads, prefetch 64; publishes from 10 threads",
    requirements="dramatiq_.txt",
    share=0.2,
    extra_lines=11,
)
TASK_QUEUES = (
    FASTSTREAM_OUTBOX,
    replace(FASTSTREAM_OUTBOX, options=("default",), settings="1 worker, 10 rows at a time", share=0.1),
    TASKIQ,
    replace(
        TASKIQ, options=("default",), settings="taskiq-aio-pika; 2 processes, prefetch 10; publishes one by one", share=0.1
    ),
    CELERY,
    replace(
        CELERY, options=("default",), settings="acknowledges late; 2 processes, prefetch 8; publishes one by one", share=0.1
    ),
    DRAMATIQ,
    replace(DRAMATIQ, options=("default",), settings="2 processes of 8 threads, prefetch 16; publishes one by one", share=0.1),
)

WITHOUT_OUTBOX = replace(
    USUAL,
    name="the usual way without an outbox",
    promise="loses events on a crash",
    settings="FastStream; each event published after its commit, 100 at once, from memory",
    workloads=("relay",),
    options=("no-outbox",),
    share=1.0,
    cannot=dict.fromkeys(("insert", "update", "replica"), "what consumes is the usual way"),
)
WITHOUT_INBOX = replace(
    USUAL,
    name="the usual way without an inbox",
    promise="at least once",
    settings="FastStream, SQLAlchemy; prefetch 100",
    workloads=("insert", "update", "replica"),
    options=("no-inbox",),
    cannot={"relay": "what relays is the usual way"},
)

# Lines given to those below: the inbox (9, as above). python-cqrs also has a broker whose messages are kept (9), when tuned.
PYTHON_CQRS = Contender(
    name="python-cqrs",
    module="benchmarks.peers.cqrs_",
    promise="exactly one effect",
    settings="its producer with 1,000 rows at a time and a broker whose messages are kept; FastStream with prefetch 100",
    requirements="cqrs_.txt",
    share=0.1,
    extra_lines=18,
)
PROCRASTINATE = Contender(
    name="procrastinate",
    module="benchmarks.peers.procrastinate_",
    promise="exactly one effect",
    settings="a queue in PostgreSQL; 2 processes of 20 jobs at once, finished ones deleted",
    workloads=("insert", "update", "replica"),
    requirements="procrastinate_.txt",
    share=0.06,
    extra_lines=9,
    cannot={"relay": "its queue is in the database: there is nothing to relay"},
)
PGQUEUER = Contender(
    name="PgQueuer",
    module="benchmarks.peers.pgqueuer_",
    promise="exactly one effect",
    settings="a queue in PostgreSQL; 2 processes, 100 jobs fetched at a time, autovacuum tuned",
    workloads=("insert", "update", "replica"),
    requirements="pgqueuer_.txt",
    share=0.15,
    extra_lines=9,
    cannot={"relay": "its queue is in the database: there is nothing to relay"},
)
LIBRARIES = (
    WITHOUT_OUTBOX,
    WITHOUT_INBOX,
    PYTHON_CQRS,
    replace(
        PYTHON_CQRS,
        options=("default",),
        promise="loses events on a crash",
        settings="its producer with 100 rows at a time and its own broker, whose queue is transient; FastStream with no limit",
        share=0.04,
        extra_lines=9,
    ),
    PROCRASTINATE,
    replace(PROCRASTINATE, options=("default",), settings="1 process, 1 job at a time, finished ones kept", share=0.02),
    PGQUEUER,
    replace(PGQUEUER, options=("default",), settings="1 process, 10 jobs fetched at a time, any number at once", share=0.05),
)

PEERS: tuple[Contender, ...] = (*TASK_QUEUES, *LIBRARIES)

ALL = (BACKBONE, USUAL, C_CLIENT, *PEERS)
