"""Latency from a command's commit to its effect's, at a pace: the backbone's and that of the bare sequence by hand."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from dataclasses import dataclass

from benchmarks.cost import Cpu, Meter
from benchmarks.measure import LOGS, ROOT, ContenderFailed
from benchmarks.place import fresh_place
from broker.servers import Servers

WAYS = {"the backbone": "benchmarks.ours.end_to_end", "by hand": "benchmarks.floor.by_hand"}
SHARES = (25, 50, 80)
"""Per cent of the capacity."""


@dataclass(frozen=True, slots=True)
class Paced:
    """One run: events a second, latencies in milliseconds, processor seconds for a thousand events."""

    rate: float
    p50: float
    p95: float
    p99: float
    cpu_per_1000: Cpu


async def paced(way: str, rate: float, seconds: float, servers: Servers) -> Paced:
    """Commands at `rate` a second for as long, 0 for as fast as they can. Raises ContenderFailed."""
    LOGS.mkdir(parents=True, exist_ok=True)
    async with fresh_place(servers) as where:
        with (LOGS / "end-to-end.log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", WAYS[way], str(rate), str(seconds)),
                cwd=ROOT,
                env={**os.environ, **where.environment()},
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
            )
        meter, marks, last = Meter(servers, process.pid), [], ""
        assert process.stdout is not None
        while line := (await process.stdout.readline()).decode().strip():
            last = line
            if line in ("began", "ended"):
                marks.append(meter.cpu())
        if await process.wait() or len(marks) != 2:
            raise ContenderFailed(f"{way} at {rate:,.0f}/s ended with {process.returncode}: see {LOGS.name}/end-to-end.log")
    said = json.loads(last)
    latencies = {name: said[name] * 1000 for name in ("p50", "p95", "p99")}
    return Paced(rate=said["rate"], cpu_per_1000=(marks[1] - marks[0]) * (1000 / said["count"]), **latencies)
