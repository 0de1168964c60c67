"""`python -m benchmarks [--quick]`: the backbone against the usual way, both in this run, on the same servers.

Single figures depend on the machine and on what else it does; the ratios of one run do not, or little. Each measurement is
taken in rounds, ours and theirs in turn, and the medians are compared.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import platform
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import structlog
import uvloop
from rich.console import Console
from rich.table import Table

from benchmarks.ground import Ground, account, posting
from benchmarks.ours import Backbone
from benchmarks.usual import UsualWay
from contracts.event import Event
from nilecare.stack import start_stack

RESULTS = Path(__file__).parent / "results.md"


@dataclass(slots=True)
class Measured:
    """Events per second of both ways, one figure a round."""

    what: str
    ours: list[float] = field(default_factory=list)
    usual: list[float] = field(default_factory=list)

    @property
    def ratio(self) -> float:
        """How many times as fast the backbone is."""
        return statistics.median(self.ours) / statistics.median(self.usual)

    def row(self) -> tuple[str, str, str, str]:
        """What a person reads."""
        ours, usual = statistics.median(self.ours), statistics.median(self.usual)
        return self.what, f"{ours:,.0f}", f"{usual:,.0f}", f"{self.ratio:.1f}x"


async def rate(count: int, work: Awaitable[None]) -> float:
    """Events per second."""
    began = time.perf_counter()
    await work
    return count / (time.perf_counter() - began)


async def commands(way: Backbone | UsualWay, count: int) -> None:
    """`count` commands, sixteen at a time."""
    turns = asyncio.Semaphore(16)

    async def one(event: Event) -> None:
        async with turns:
            await way.command(event)

    await asyncio.gather(*(one(posting()) for _ in range(count)))


async def round_of(way: Backbone | UsualWay, count: int) -> list[float]:
    """The four figures of one way."""
    commanded = await rate(count // 4, commands(way, count // 4))
    await way.fill([posting() for _ in range(count - count // 4)])
    relayed = await rate(count, way.relay())
    consumed = await rate(count, way.consume(count))
    await way.fill([account(version=version + 1) for version in range(count)])
    await way.relay()
    replicated = await rate(count, way.replicate(count))
    return [commanded, relayed, consumed, replicated]


async def measure(rounds: int, count: int, say: Callable[[str], None]) -> list[Measured]:
    """All figures. Starts servers of its own unless the environment gives some."""
    measured = [
        Measured("command: transaction with one event"),
        Measured("relay: outbox to confirmed message"),
        Measured("consume: message to committed row"),
        Measured("replica: state to committed upsert"),
    ]
    async with start_stack("bench") as stack:
        for number in range(rounds):
            ground = await Ground.lay(stack.servers)
            ours, usual = Backbone(ground), UsualWay(ground.reader.database_url, ground.platform.amqp_url)
            for way, name in ((ours, "the backbone"), (usual, "the usual way")):
                say(f"round {number + 1} of {rounds}: {name}")
                await way.open()
                for figure, of in zip(await round_of(way, count), measured, strict=True):
                    (of.ours if way is ours else of.usual).append(figure)
                await way.close()
    return measured


def show(measured: Sequence[Measured], console: Console) -> None:
    """The table."""
    table = Table(title="events per second, medians of one run")
    for heading in ("what", "the backbone", "the usual way", "ratio"):
        table.add_column(heading, justify="left" if heading == "what" else "right")
    for one in measured:
        table.add_row(*one.row())
    console.print(table)


def page(measured: Sequence[Measured], rounds: int, count: int) -> str:
    """The page of results."""
    rows = "\n".join(f"| {' | '.join(one.row())} |" for one in measured)
    return f"""# Results

`python -m benchmarks --save`: {rounds} rounds of {count} events, Python {platform.python_version()}, {platform.machine()}.
Events per second, medians; the ratio is what carries over to another machine. The usual way is `usual.py`: FastStream and
SQLAlchemy with a session and a transaction per message, and a relay that waits for each confirm.

| what | the backbone | the usual way | ratio |
|---|---|---|---|
{rows}
"""


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer events: about a minute")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the figures to a file")
    parser.add_argument("--save", action="store_true", help=f"write {RESULTS.name} beside the benchmarks")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    rounds, count = (2, 3000) if arguments.quick else (5, 10_000)
    console = Console()
    with console.status("starting servers") as status:
        measured = uvloop.run(measure(rounds, count, status.update))
    show(measured, console)
    if arguments.json:
        figures = {one.what: {"ours": one.ours, "usual": one.usual, "ratio": one.ratio} for one in measured}
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")
    if arguments.save:
        RESULTS.write_text(page(measured, rounds, count))


if __name__ == "__main__":
    main()
