"""Who takes part, in which virtual environment, with what promise."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from benchmarks.contending import WORKLOADS, Workload

HERE = Path(__file__).parent
ENVIRONMENTS = HERE.parent / ".local" / "bench"

Promise = Literal["loses events on a crash", "at least once", "exactly one effect"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """One way to do the work.

    module: its process, which `benchmarks.contending` describes. requirements: the file of its packages, None for the project's own
    environment. options: handed to the module. share: the part of the events that it is given; a slow one's rate shows with fewer.
    """

    name: str
    module: str
    promise: Promise
    settings: str
    workloads: tuple[Workload, ...] = WORKLOADS
    requirements: str | None = None
    options: tuple[str, ...] = ()
    share: float = field(default=1.0)

    @property
    def environment(self) -> Path:
        """Its virtual environment."""
        return ENVIRONMENTS / self.requirements.removesuffix(".txt") if self.requirements else Path(sys.prefix)

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
)

ALL = (BACKBONE, USUAL)
