"""`python -m benchmarks`: the backbone against others, all in this run, in turn, on the same servers."""

from __future__ import annotations

import argparse
import asyncio
import logging
from collections.abc import Sequence

from rich.console import Console

from benchmarks.contenders import ALL, Contender
from benchmarks.contending import WORKLOADS
from benchmarks.environments import missing
from benchmarks.measure import ContenderFailed, measure
from nilecare.stack import start_stack


async def run(contenders: Sequence[Contender], workloads: Sequence[str], rounds: int, count: int, console: Console) -> None:
    """Measures."""
    reasons = missing(contenders, console.print)
    async with start_stack("bench", durable=True) as stack:
        for workload in WORKLOADS:
            for _ in range(rounds):
                for contender in contenders:
                    if workload not in contender.workloads or workload not in workloads or contender.requirements in reasons:
                        continue
                    try:
                        sample = await measure(contender, workload, int(count * contender.share), stack.servers)
                    except ContenderFailed as failure:
                        console.print(f"{workload} {contender.name} ({contender.settings}): {failure}")
                        continue
                    cpu = sample.cpu_per_1000
                    console.print(
                        f"{workload:8} {contender.name:24} {sample.rate:10,.0f}/s  CPU s per 1,000: client {cpu.client:.3f} "
                        f"rabbitmq {cpu.rabbitmq:.3f} postgresql {cpu.postgresql:.3f}  {sample.memory_mib:.0f} MiB"
                    )


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", metavar="TEXT", help="only contenders whose name contains it")
    parser.add_argument("--workload", choices=WORKLOADS, action="append", help="only this one; may be repeated")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--count", type=int, default=50_000, help="events in one measurement")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    chosen = [each for each in ALL if (arguments.only or "") in each.name]
    asyncio.run(run(chosen, arguments.workload or WORKLOADS, arguments.rounds, arguments.count, Console()))


if __name__ == "__main__":
    main()
