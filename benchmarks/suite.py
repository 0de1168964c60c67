"""The whole run: every contender in turn, round after round, and what follows from it."""

from __future__ import annotations

import platform
import statistics
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any

import asyncpg
import httpx
import psutil

from benchmarks.backlog import Case, cases, measure_case
from benchmarks.contenders import BACKBONE, C_CLIENT, EIGHT, IDLE, PEERS, TOGETHER, USUAL, Contender
from benchmarks.contending import WORKLOADS, Workload
from benchmarks.dead_letters import FEW, DeadLetters, measure_dead_letters
from benchmarks.environments import missing
from benchmarks.filling import Filling, measure_filling
from benchmarks.measure import ContenderFailed, Sample, measure, resting_memory_mib
from benchmarks.paced import SHARES, WAYS, Paced, paced
from broker.servers import Servers

GIVEN_UP = "loses events on a crash"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass(frozen=True, slots=True)
class Extent:
    """How much is run."""

    rounds: int
    count: int
    peers: bool
    waiting: int
    """The largest backlog."""
    dead_letters: int
    """How many are looked at and replayed."""
    filled: int
    """Rows that an empty replica is filled with."""
    seconds: float
    """How long one paced run counts."""


FULL = Extent(rounds=3, count=50_000, peers=True, waiting=1_000_000, dead_letters=100_000, filled=1_000_000, seconds=10)
QUICK = Extent(rounds=1, count=20_000, peers=False, waiting=100_000, dead_letters=20_000, filled=100_000, seconds=5)


@dataclass(slots=True)
class Results:
    """All that was measured, as it came."""

    extent: Extent
    machine: dict[str, Any]
    began: str = field(default_factory=_now)
    absent: dict[str, str] = field(default_factory=dict)
    throughput: dict[Workload, dict[str, list[Sample]]] = field(default_factory=lambda: {each: {} for each in WORKLOADS})
    paced: dict[str, dict[str, list[Paced]]] = field(default_factory=lambda: {way: {} for way in WAYS})
    backlog: dict[Case, Sample] = field(default_factory=dict)
    dead_letters: DeadLetters | None = None
    filling: Filling | None = None
    scale: dict[str, Sample] = field(default_factory=dict)
    idle_mib: float = 0.0


async def run(extent: Extent, servers: Servers, say: Callable[[str], None]) -> Results:
    """Measures everything. A contender that fails is named among the absent and left out from then on."""
    contenders = [BACKBONE, USUAL, C_CLIENT, *(PEERS if extent.peers else ())]
    results = Results(extent, await machine(servers))
    reasons = missing([*contenders, IDLE], say)
    results.absent |= {each.label: reasons[each.requirements] for each in contenders if each.requirements in reasons}
    for number in range(1, extent.rounds + 1):
        say_turn = partial(_say_turn, say, number, extent.rounds)
        for workload in WORKLOADS:
            for contender in contenders:
                await _throughput(results, contender, workload, servers, say_turn)
        await _paced(results, servers, say_turn)
    for case in cases(extent.waiting):
        say(case.name)
        results.backlog[case] = await measure_case(case, servers)
    say(f"{extent.dead_letters:,} dead letters")
    results.dead_letters = await measure_dead_letters(extent.dead_letters, servers)
    say(f"a replica of {extent.filled:,} rows")
    results.filling = await measure_filling(extent.filled, servers)
    for contender in (TOGETHER, EIGHT):
        say(contender.name)
        results.scale[contender.name] = await measure(contender, "insert", extent.count, servers)
    say("memory of an idle FastStream application")
    results.idle_mib = await resting_memory_mib(IDLE, servers)
    return results


async def run_part(name: str, extent: Extent, servers: Servers) -> dict[str, Any]:
    """One of PARTS, as `latest.json` has it, with when it began and on what machine: a part of another run says neither."""
    began, on = _now(), await machine(servers)
    return {"began": began, "machine": on, **await PARTS[name](extent, servers)}


def _say_turn(say: Callable[[str], None], number: int, rounds: int, what: str) -> None:
    say(f"round {number} of {rounds}: {what}")


async def _throughput(
    results: Results, contender: Contender, workload: Workload, servers: Servers, say: Callable[[str], None]
) -> None:
    if workload not in contender.workloads or contender.label in results.absent:
        return
    say(f"{workload}, {contender.label}")
    try:
        sample = await measure(contender, workload, int(results.extent.count * contender.share), servers)
    except ContenderFailed as failure:
        if contender in (BACKBONE, USUAL):
            raise
        results.absent[contender.label] = f"{workload}: {failure}"
        return
    results.throughput[workload].setdefault(contender.label, []).append(sample)


async def _paced(results: Results, servers: Servers, say: Callable[[str], None]) -> None:
    seconds = results.extent.seconds
    say("capacity of one process")
    capacity = await paced("the backbone", 0, seconds, servers)
    results.paced["the backbone"].setdefault("capacity", []).append(capacity)
    for share in SHARES:
        for way in WAYS:
            say(f"{share} % of {capacity.rate:,.0f} events a second, {way}")
            run = await paced(way, capacity.rate * share / 100, seconds, servers)
            results.paced[way].setdefault(f"{share} %", []).append(run)


def ratios(results: Results) -> dict[str, list[float]]:
    """The ratios that the targets name, one for each round."""

    def rates(workload: Workload, name: str) -> list[float]:
        return [sample.rate for sample in results.throughput[workload].get(name, [])]

    def against(workload: Workload, name: str) -> list[float]:
        return [ours / theirs for ours, theirs in zip(rates(workload, BACKBONE.label), rates(workload, name), strict=False)]

    best = best_peer(results)
    by_hand, ours = results.paced["by hand"].get("25 %", []), results.paced["the backbone"].get("25 %", [])
    found = {
        "relay_vs_usual": against("relay", USUAL.label),
        "relay_vs_c_client": against("relay", C_CLIENT.label),
        "relay_vs_best_peer": against("relay", best) if best else [],
        "consume_insert_vs_usual": against("insert", USUAL.label),
        "consume_update_vs_usual": against("update", USUAL.label),
        "replica_vs_usual": against("replica", USUAL.label),
        "p50_vs_bare": [one.p50 / other.p50 for one, other in zip(ours, by_hand, strict=True)],
        "p99_vs_bare": [one.p99 / other.p99 for one, other in zip(ours, by_hand, strict=True)],
        "backlog_cost_growth": _growth(results.backlog),
    }
    return {name: values for name, values in found.items() if values}


def best_peer(results: Results) -> str | None:
    """The fastest in `relay` of those that lose nothing on a crash, by their medians."""
    keeping = {each.label for each in (USUAL, *PEERS) if each.promise != GIVEN_UP}
    medians = {
        name: statistics.median(sample.rate for sample in samples)
        for name, samples in results.throughput["relay"].items()
        if name in keeping
    }
    return max(medians, key=lambda name: medians[name]) if medians else None


def _growth(backlog: Mapping[Case, Sample]) -> list[float]:
    """The worst: processor time of client and PostgreSQL for an event, with the largest backlog against the smallest."""
    relay = {case: sample for case, sample in backlog.items() if case.workload == "relay"}
    if not relay:
        return []
    smallest, largest = min(case.waiting for case in relay), max(case.waiting for case in relay)
    return [
        max(
            own_cost(relay[case]) / own_cost(relay[Case("relay", smallest, case.held)])
            for case in relay
            if case.waiting == largest
        )
    ]


def own_cost(sample: Sample) -> float:
    """Processor seconds of client and PostgreSQL for a thousand events: RabbitMQ's own grow with the length of its queue."""
    return sample.cpu_per_1000.client + sample.cpu_per_1000.postgresql


def memory_mib(results: Results) -> dict[str, float]:
    """Of a service's process under full load, the most of all workloads; of an idle FastStream application; the difference."""
    loaded = max(sample.memory_mib for samples in results.throughput.values() for sample in samples.get(BACKBONE.label, []))
    return {"service": loaded, "idle_faststream": results.idle_mib, "above_idle": loaded - results.idle_mib}


async def machine(servers: Servers) -> dict[str, Any]:
    """What it was measured on."""
    connection = await asyncpg.connect(servers.postgres_url)
    postgresql = await connection.fetchval("SHOW server_version")
    settings = {name: await connection.fetchval(f"SHOW {name}") for name in ("fsync", "synchronous_commit")}
    await connection.close()
    async with httpx.AsyncClient() as client:
        rabbitmq = (await client.get(f"{servers.management_url}/api/overview")).json()["rabbitmq_version"]
    return {
        "cores": psutil.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 1024**3),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "rabbitmq": rabbitmq,
        "postgresql": postgresql.split()[0],
        **settings,
    }


def as_json(results: Results) -> dict[str, Any]:
    """Everything, for `latest.json`."""
    found = ratios(results)
    labelled = {each.label: each for each in (BACKBONE, USUAL, C_CLIENT, *PEERS)}
    return {
        "began": results.began,
        "machine": results.machine,
        "extent": asdict(results.extent),
        "ratios": {name: round(statistics.median(values), 2) for name, values in found.items()},
        "ratios_by_round": {name: [round(value, 2) for value in values] for name, values in found.items()},
        "best_peer": best_peer(results),
        "memory_mib": {name: round(value) for name, value in memory_mib(results).items()},
        "throughput": {
            workload: [
                {
                    "name": name,
                    "settings": labelled[name].settings,
                    "promise": labelled[name].promise,
                    "lines_added": labelled[name].extra_lines,
                    **_samples(samples),
                }
                for name, samples in by_name.items()
            ]
            for workload, by_name in results.throughput.items()
        },
        "paced": {
            way: {share: [asdict(each) for each in runs] for share, runs in by_share.items()}
            for way, by_share in results.paced.items()
        },
        "backlog": [{"case": case.name, **_samples([sample])} for case, sample in results.backlog.items()],
        "dead_letters": _dead_letters(results.dead_letters) if results.dead_letters else None,
        "filling": _filling(results.filling) if results.filling else None,
        "scale": [{"name": name, **_samples([sample])} for name, sample in results.scale.items()],
        "absent": results.absent,
    }


def _dead_letters(found: DeadLetters) -> dict[str, Any]:
    return {
        "count": found.count,
        "few": FEW,
        "looks": [
            {"look": name, "ms_of_few": round(few, 2), "ms": round(many, 2), "ratio": round(many / few, 2)}
            for name, (few, many) in found.looks.items()
        ],
        "replay": _samples([found.replay]),
        "published_again": _samples([found.published_again]),
        "replay_vs_published_again": round(found.replay.rate / found.published_again.rate, 2),
    }


def _filling(found: Filling) -> dict[str, Any]:
    return {
        "count": found.count,
        "seconds": round(found.seconds, 2),
        "copied_in": round(found.copied_in, 2),
        "writes": found.writes,
        "kills": found.kills,
        "ratio": round(found.ratio, 2),
    }


async def _dead_letters_alone(extent: Extent, servers: Servers) -> dict[str, Any]:
    return _dead_letters(await measure_dead_letters(extent.dead_letters, servers))


async def _filling_alone(extent: Extent, servers: Servers) -> dict[str, Any]:
    return _filling(await measure_filling(extent.filled, servers))


PARTS: dict[str, Callable[[Extent, Servers], Awaitable[dict[str, Any]]]] = {
    "dead_letters": _dead_letters_alone,
    "filling": _filling_alone,
}
"""What can be measured by itself, by its name in `latest.json`: its ratios need nothing else of a run."""


def _samples(samples: Sequence[Sample]) -> dict[str, Any]:
    rates = [sample.rate for sample in samples]
    cost = [sample.cpu_per_1000 for sample in samples]
    return {
        "rate": round(statistics.median(rates)),
        "rates": [round(rate) for rate in rates],
        "cpu_seconds_per_1000": {
            part: round(statistics.median(getattr(each, part) for each in cost), 4)
            for part in ("client", "rabbitmq", "postgresql")
        },
        "memory_mib": round(statistics.median(sample.memory_mib for sample in samples)),
    }
