"""`python -m benchmarks`: the backbone against others, all in this run, in turn, on the same servers.

Single figures depend on the machine and on what else it does; the ratios of one run do not, or little.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.contenders import ALL, ENVIRONMENTS, Contender
from benchmarks.contending import WORKLOADS
from benchmarks.environments import REQUIREMENTS, make, missing
from benchmarks.measure import ContenderFailed, measure
from benchmarks.report import show, write_readme
from benchmarks.suite import FULL, PARTS, QUICK, Extent, as_json, run, run_part
from broker.servers import start_stack

RESULTS = Path(__file__).parent / "results" / "latest.json"
PLOT = RESULTS.with_suffix(".svg")
QUICK_RESULTS = ENVIRONMENTS / "quick.json"


async def everything(extent: Extent, say: Callable[[str], None]) -> dict[str, Any]:
    """The whole run. Starts servers of its own, which call fsync, unless the environment gives some."""
    async with start_stack("bench-servers", durable=True) as stack:
        return as_json(await run(extent, stack.servers, say))


async def part(name: str, extent: Extent) -> dict[str, Any]:
    """One part by itself, on servers like those of the whole run."""
    async with start_stack("bench-servers", durable=True) as stack:
        return await run_part(name, extent, stack.servers)


def with_part(results: Path, name: str, found: dict[str, Any]) -> dict[str, Any]:
    """The figures in a file, with those of a part instead of what it has of it; they are written there."""
    together: dict[str, Any] = json.loads(results.read_text()) | {name: found}
    results.write_text(json.dumps(together, indent=2) + "\n")
    return together


async def single(contenders: Sequence[Contender], workloads: Sequence[str], rounds: int, count: int, console: Console) -> None:
    """Only some contenders and workloads, each figure as it comes."""
    reasons = missing(contenders, console.print)
    async with start_stack("bench-servers", durable=True) as stack:
        for workload in WORKLOADS:
            for contender in list(contenders) * rounds:
                if workload not in contender.workloads or workload not in workloads or contender.requirements in reasons:
                    continue
                try:
                    sample = await measure(contender, workload, int(count * contender.share), stack.servers)
                except ContenderFailed as failure:
                    console.print(f"{workload} {contender.label}: {failure}")
                    continue
                cpu = sample.cpu_per_1000
                console.print(
                    f"{workload:8} {contender.label:30} {sample.rate:8,.0f}/s, CPU s per 1,000: client {cpu.client:.3f}, "
                    f"RabbitMQ {cpu.rabbitmq:.3f}, PostgreSQL {cpu.postgresql:.3f}; {sample.memory_mib:.0f} MiB",
                    soft_wrap=True,
                )


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short round, with only the usual way as peer")
    parser.add_argument("--save", action="store_true", help="with --quick: its figures become the README's all the same")
    parser.add_argument("--only", metavar="TEXT", help="only contenders whose name contains it; nothing is saved")
    parser.add_argument("--workload", choices=WORKLOADS, action="append", help="only this one, with --only; may be repeated")
    parser.add_argument(
        "--part",
        choices=[name.replace("_", "-") for name in PARTS],
        help="only this part, whose figures replace those of the last run's; with --quick they are only shown",
    )
    parser.add_argument("--rounds", type=int, default=FULL.rounds, help="how often everything is measured")
    parser.add_argument("--count", type=int, default=FULL.count, help="events in one measurement")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    console = Console()
    if arguments.only is not None:
        chosen = [each for each in ALL if arguments.only in each.label]
        asyncio.run(single(chosen, arguments.workload or WORKLOADS, arguments.rounds, arguments.count, console))
        return
    if arguments.part is not None:
        _measure_part(arguments.part.replace("-", "_"), is_quick=arguments.quick, console=console)
        return
    with console.status("starting servers") as status:
        full = replace(FULL, rounds=arguments.rounds, count=arguments.count)
        found = asyncio.run(everything(QUICK if arguments.quick else full, status.update))
    show(found, console)
    is_kept = arguments.save or not arguments.quick
    results = RESULTS if is_kept else QUICK_RESULTS
    results.parent.mkdir(parents=True, exist_ok=True)
    results.write_text(json.dumps(found, indent=2) + "\n")
    console.print(f"written: {results}")
    if is_kept:
        write_readme(found)
        _draw(console)


def _measure_part(name: str, *, is_quick: bool, console: Console) -> None:
    """Measures a part again, shows it among the last run's figures, and keeps it there."""
    with console.status(name):
        found = asyncio.run(part(name, QUICK if is_quick else FULL))
    if is_quick:
        console.print_json(data=found)
        return
    together = with_part(RESULTS, name, found)
    show(together, console)
    write_readme(together)
    console.print(f"written: {RESULTS}")


def _draw(console: Console) -> None:
    """The plot, by a library that has an environment of its own."""
    environment = ENVIRONMENTS / "plot"
    reason = make(environment, REQUIREMENTS / "plot.txt")
    if reason:
        console.print(f"no plot: {reason}")
        return
    subprocess.run([environment / "bin" / "python", "-m", "benchmarks.plot", RESULTS, PLOT], check=True)
    console.print(f"written: {PLOT}")


if __name__ == "__main__":
    main()
