"""What a run found, for people: tables on the terminal, and the figures in the README."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

README = Path(__file__).parent.parent / "README.md"
BEGIN, END = "<!-- figures: put here by `make bench` -->", "<!-- end of figures -->"

WORKLOAD_TITLES = {
    "relay": "relay: committed events to confirmed messages in a quorum queue",
    "insert": "consume: a row inserted through the ORM, exactly once",
    "update": "consume: one of 1,000 rows read, changed, written, exactly once",
    "replica": "replica: a state taken over",
}
TARGETS = {
    "relay_vs_usual": ("relay, against the usual way", "at least", 12),
    "relay_vs_c_client": ("relay, against a C client's confirmed publish", "at least", 0.3),
    "relay_vs_best_peer": ("relay, against the best peer that loses nothing", "at least", 4),
    "consume_insert_vs_usual": ("consume with an insert, against the usual way with an inbox", "at least", 7),
    "consume_update_vs_usual": ("consume with read, change, write, against the same", "at least", 2),
    "replica_vs_usual": ("replica, against the usual way", "at least", 14),
    "p50_vs_bare": ("half of all effects after their commit, at 25 % load, against the bare sequence by hand", "at most", 1.5),
    "p99_vs_bare": ("99 in 100", "at most", 3),
    "backlog_cost_growth": ("cost of an event with the largest backlog, against 10,000", "at most", 1.1),
}
FILLING_TARGET = 0.2
"""Speed of a fill against that of a copy, at least."""

MEMORY_TARGET = 120
"""MiB of one service under full load above an idle FastStream application, at most."""

LIMITS = """The figures do not show
a network between the servers, other disks, a cluster of brokers, or your handlers: what your own code costs comes on top, and
makes the ratios smaller."""


def show(found: Mapping[str, Any], console: Console) -> None:
    """Every table."""
    for workload, contenders in found["throughput"].items():
        console.print(_throughput(WORKLOAD_TITLES[workload], contenders))
    console.print(_paced(found["paced"]))
    console.print(_others("backlog: does an event cost more?", "case", found["backlog"]))
    if found.get("dead_letters"):
        for table in _dead_letters(found["dead_letters"]):
            console.print(table)
    if found.get("filling"):
        console.print(_filling(found["filling"]))
    console.print(_others("eight subscribers", "name", found["scale"]))
    console.print(_ratios(found))
    for name, reason in found["absent"].items():
        console.print(f"left out: {name}: {reason}")


def write_readme(found: Mapping[str, Any]) -> None:
    """Puts the figures of a run where the README has the last ones."""
    text = README.read_text()
    README.write_text(f"{text[: text.index(BEGIN)]}{readme_part(found)}{text[text.index(END) + len(END) :]}")


def readme_part(found: Mapping[str, Any]) -> str:
    """The README's part, with its marks."""
    machine, extent = found["machine"], found["extent"]
    rounds = "One round" if extent["rounds"] == 1 else f"Medians of {extent['rounds']} rounds"
    rows = "\n".join(f"| {what} | {measured} | {wanted} |" for what, measured, wanted, _ in _lines(found))
    return f"""{BEGIN}
| | measured | wanted |
|---|---|---|
{rows}

{rounds} of {extent["count"]:,} events on {found["began"][:10]}: {machine["cores"]} cores, {machine["memory_gib"]} GiB,
{_versions(machine)},
all on this one machine, with fsync and synchronous commits. {_runs_of_their_own(found)}{LIMITS}
{END}"""


def _versions(machine: Mapping[str, Any]) -> str:
    names = {"python": "Python", "rabbitmq": "RabbitMQ", "postgresql": "PostgreSQL"}
    return ", ".join([machine["system"], *(f"{said} {machine[name]}" for name, said in names.items())])


def _runs_of_their_own(found: Mapping[str, Any]) -> str:
    """Which parts were measured at another time than the rest, when, and on what."""
    said = {"filling": "The replica was filled"}
    return "".join(
        f"""{what} in a run of its own on {found[name]["began"][:10]}:
{found[name]["machine"]["cores"]} cores, {found[name]["machine"]["memory_gib"]} GiB, {_versions(found[name]["machine"])}.
"""
        for name, what in said.items()
        if "began" in (found.get(name) or {})
    )


def _lines(found: Mapping[str, Any]) -> Iterator[tuple[str, str, str, bool]]:
    for name, (what, sense, wanted) in TARGETS.items():
        if name in found["ratios"]:
            value = found["ratios"][name]
            yield what, f"{value:.2f}×".replace(".00×", "×"), f"{sense} {wanted}×", _holds(sense, value, wanted)
    if found.get("filling"):
        filling = found["filling"]
        what = f"an empty replica filled with {filling['count']:,} rows by events, against `COPY`"
        yield what, f"{filling['ratio']:.2f}×", f"at least {FILLING_TARGET}×", filling["ratio"] >= FILLING_TARGET
    above = found["memory_mib"]["above_idle"]
    what = "memory of one service under full load, above an idle FastStream application"
    yield what, f"{above} MiB", f"at most {MEMORY_TARGET} MiB", above <= MEMORY_TARGET


def _holds(sense: str, value: float, wanted: float) -> bool:
    return value >= wanted if sense == "at least" else value <= wanted


def _ratios(found: Mapping[str, Any]) -> Table:
    table = _table("ratios within this run", "what", "measured", "by round", "wanted", "")
    by_round = found["ratios_by_round"]
    names = [*(name for name in TARGETS if name in found["ratios"]), *(["filling"] if found.get("filling") else []), "memory"]
    for name, (what, measured, wanted, holds) in zip(names, _lines(found), strict=True):
        rounds = " ".join(f"{value:.2f}" for value in by_round.get(name, []))
        table.add_row(what, measured, rounds, wanted, "yes" if holds else "no")
    return table


def _throughput(title: str, contenders: list[Mapping[str, Any]]) -> Table:
    table = _table(title, "who", "promise", "events/s", "least to most", "ratio", "CPU s per 1,000", "MiB", "lines added")
    ours = contenders[0]["rate"]
    for each in sorted(contenders, key=lambda one: -int(one["rate"])):
        cost = sum(each["cpu_seconds_per_1000"].values())
        spread = f"{min(each['rates']):,} to {max(each['rates']):,}"
        table.add_row(
            each["name"],
            each["promise"],
            f"{each['rate']:,}",
            spread,
            f"{ours / each['rate']:.1f}×",
            f"{cost:.3f}",
            f"{each['memory_mib']}",
            f"{each['lines_added']}",
        )
    return table


def _paced(paced: Mapping[str, Mapping[str, list[Mapping[str, Any]]]]) -> Table:
    title = "from commit to committed effect, in one process, by share of its capacity"
    table = _table(
        title, "who", "load", "events/s", "p50 ms", "p95 ms", "p99 ms", "CPU s per 1,000: client", "RabbitMQ", "PostgreSQL"
    )
    for way, by_share in paced.items():
        for share, runs in by_share.items():
            one = sorted(runs, key=lambda run: float(run["p50"]))[len(runs) // 2]
            cpu = one["cpu_per_1000"]
            latencies = (f"{one[name]:.1f}" for name in ("p50", "p95", "p99"))
            parts = (f"{cpu[part]:.2f}" for part in ("client", "rabbitmq", "postgresql"))
            table.add_row(way, share, f"{one['rate']:,.0f}", *latencies, *parts)
    return table


def _others(title: str, column: str, rows: list[Mapping[str, Any]]) -> Table:
    table = _table(title, "", "events/s", "CPU s per 1,000: client", "RabbitMQ", "PostgreSQL", "MiB")
    for row in rows:
        cpu = row["cpu_seconds_per_1000"]
        parts = (f"{cpu[part]:.4f}" for part in ("client", "rabbitmq", "postgresql"))
        table.add_row(row[column], f"{row['rate']:,}", *parts, f"{row['memory_mib']}")
    return table


def _dead_letters(found: Mapping[str, Any]) -> Iterator[Table]:
    """How long each look takes, and how fast all are replayed. Runs before there were dead letters have none of it."""
    title = f"{found['count']:,} dead letters"
    looks = _table(f"{title}: a look", "", f"ms of {found['few']:,}", f"ms of {found['count']:,}", "ratio")
    for each in found["looks"]:
        looks.add_row(each["look"], f"{each['ms_of_few']:.1f}", f"{each['ms']:.1f}", f"{each['ratio']:.1f}×")
    yield looks
    ways = {"replay": "replayed", "published_again": "as many messages in the queue"}
    rows: list[Mapping[str, Any]] = [{"way": said, **found[way]} for way, said in ways.items()]
    yield _others(f"{title}: a replay of all is {found['replay_vs_published_again']:.2f}× as fast as the queue", "way", rows)


def _filling(found: Mapping[str, Any]) -> Table:
    """How fast a replica is filled. Runs before there was that have none of it."""
    heading = f"a replica filled: {found['writes']:,} writes by others meanwhile, {found['kills']} processes killed"
    table = _table(heading, "way", "rows", "seconds", "rows/s", "ratio")
    ratios = {"copied_in": "1.00×", "seconds": f"{found['ratio']:.2f}×"}
    for way, measured in (("COPY from database to database", "copied_in"), ("by events", "seconds")):
        count, seconds = found["count"], found[measured]
        table.add_row(way, f"{count:,}", f"{seconds:.1f}", f"{count / seconds:,.0f}", ratios[measured])
    return table


def _table(title: str, *headings: str) -> Table:
    table = Table(title=title, title_justify="left")
    for number, heading in enumerate(headings):
        is_text = number == 0 or re.fullmatch("promise|wanted|load|", heading)
        table.add_column(heading, justify="left" if is_text else "right")
    return table
