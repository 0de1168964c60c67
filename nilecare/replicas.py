"""`nilecare replicas`: how complete each replica is, whether it is as its owner has it, and putting right what is not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from functools import wraps
from typing import Any
from uuid import UUID

import click
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, SpinnerColumn, TextColumn
from rich.table import Column, Table
from sqlalchemy import func, select

from broker import Service, age, clock
from broker._replica_runs import Place, Purpose, Run, RunUnderWay, begin, drift_of, places_of, run_of, runs
from broker._replicas import Freshness
from broker._service import check_platform
from contracts.backbone import Drift
from nilecare import erased
from nilecare.called import called
from nilecare.dead_letters import view
from nilecare.dead_letters.access import House, as_json_option, asker_of, opened, run
from nilecare.dead_letters.selection import Refused
from nilecare.platform import services

LOOK = 0.2
"""Seconds between two looks at how far a run is."""

SILENT = timedelta(minutes=1)
"""A run for which nothing came for longer than this is said to stand still."""

SHOWN = 20
"""Keys of a run that are printed; `--json` has all of them."""

Command = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Chosen:
    """A service, and those of its replicas that are meant."""

    service: Service
    places: Sequence[Place]


@dataclass(frozen=True, slots=True)
class Ended:
    """A run that ended, with the keys that it confirmed to differ."""

    place: Place
    run: Run
    keys: Sequence[tuple[str, Drift, bool]]

    def as_json(self) -> dict[str, Any]:
        """All of it."""
        keys = [{"key": key, "drift": drift, "repaired": repaired} for key, drift, repaired in self.keys]
        return {**asdict(self.run), "replica": self.place.queue, "owner": _owner_of(self.place), "keys": keys}


def choosing(command: Command) -> Command:
    """The arguments [SERVICE [REPLICA]]; the command receives those chosen."""

    @click.argument("service", required=False)
    @click.argument("replica", required=False)
    @wraps(command)
    def with_chosen(*arguments: Any, service: str | None, replica: str | None, **options: Any) -> Any:
        return command(*arguments, chosen=_chosen(service, replica), **options)

    return with_chosen


def _chosen(name: str | None, replica: str | None) -> list[Chosen]:
    platform = services()
    found = [service for service in platform if name in (None, service.name)]
    if not found:
        known = ", ".join(service.name for service in platform)
        raise click.BadParameter(f"there is no service {name}: one of {known}", param_hint="SERVICE")
    chosen, subscribed = [], check_platform(platform)
    for service in found:
        places = places_of(service, subscribed)
        wanted = [place for place in places if replica in (None, place.name)]
        if replica is not None and not wanted:
            known = ", ".join(dict.fromkeys(place.name for place in places)) or "none"
            raise click.BadParameter(f"{name} keeps no replica {replica}: it has {known}", param_hint="REPLICA")
        chosen.append(Chosen(service, wanted))
    return chosen


@click.group("replicas")
def group() -> None:
    """Copies of what other services own: fill, check and repair them."""


group.add_command(erased.command)


@group.command("list")
@as_json_option
@choosing
def list_(chosen: Sequence[Chosen], as_json: bool) -> None:
    """List replicas: rows, how far behind, and how the last run over each went."""

    async def work() -> list[tuple[Place, Freshness, Run | None]]:
        found = []
        for each in chosen:
            async with opened(each.service) as house, house.database.transaction() as session:
                for place in each.places:
                    last = await runs(session, place, limit=1)
                    fresh = await place.replica.freshness(session, place.is_of_owner)
                    found.append((place, fresh, last[0] if last else None))
        return found

    found = run(work())
    if as_json:
        view.as_json([_listed(place, fresh, last) for place, fresh, last in found])
        return
    table = Table(Column("replica", no_wrap=True), "rows", "lag", "last run", "drift", box=None)
    for place, fresh, last in found:
        lag = f"{fresh.lag.total_seconds() * 1000:,.0f} ms" if fresh.received_at is not None else "-"
        table.add_row(place.title, f"{fresh.rows - fresh.deleted:,}", lag, *_said(place, last))
    Console().print(table)


def _listed(place: Place, fresh: Freshness, last: Run | None) -> dict[str, Any]:
    return {
        "replica": place.queue,
        "owner": _owner_of(place),
        "copies": place.event.contract.name,
        **asdict(fresh),
        "lag": fresh.lag.total_seconds(),
        "last_run": asdict(last) if last is not None else None,
    }


def _owner_of(place: Place) -> str:
    return place.owner or place.event.contract.publisher


def _said(place: Place, last: Run | None) -> tuple[str, str]:
    if last is None:
        return "not filled yet", ""
    when = f"{age(last.ended_at)} ago" if last.ended_at is not None else f"began {age(last.began_at)} ago"
    drift = ", ".join(f"{count:,} {kind}" for kind, count in sorted(last.drift.items())) or "none"
    how = {"running": _under_way(place, last), "done": "done", "given_up": f"given up: {last.reason}"}[last.state]
    return f"{last.purpose} {how}, {when}, {last.rows:,} rows", "" if last.purpose == "fill" and not last.drift else drift


def _under_way(place: Place, run: Run) -> str:
    if run.waits_for is not None:
        return f"waits for the failed message {place.service}/{run.waits_for}"
    silence = clock.now() - run.changed_at
    return f"under way, nothing came for {age(run.changed_at)}" if silence > SILENT else "under way"


def running(command: Command) -> Command:
    """The options of what begins a run."""

    @click.option("--anew", is_flag=True, help="Give up a run that is under way, and begin another.")
    @click.option("--as", "name", help="Who you are, for the record. NILECARE_OPERATOR, or your login.")
    @as_json_option
    @choosing
    @wraps(command)
    def with_options(*arguments: Any, name: str | None, **options: Any) -> Any:
        return command(*arguments, who=asker_of(name, "").name, **options)

    return with_options


@group.command()
@running
def check(chosen: Sequence[Chosen], who: str, as_json: bool, anew: bool) -> None:
    """Compare replicas with their owners, key by key, while life goes on. Ends with status 1 when something differs."""
    _run(chosen, "check", who, as_json=as_json, anew=anew)


@group.command()
@running
def repair(chosen: Sequence[Chosen], who: str, as_json: bool, anew: bool) -> None:
    """As `check`, and put right what differs. Ends with status 1 when something did."""
    _run(chosen, "repair", who, as_json=as_json, anew=anew)


@group.command()
@running
def refill(chosen: Sequence[Chosen], who: str, as_json: bool, anew: bool) -> None:
    """Take in everything that the owners have, while what is there can be read. Rows that they do not have are removed."""
    _run(chosen, "fill", who, as_json=as_json, anew=anew)


def _run(chosen: Sequence[Chosen], purpose: Purpose, who: str, *, as_json: bool, anew: bool) -> None:
    console = Console(stderr=True, quiet=as_json)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), MofNCompleteColumn())

    refusals: list[str] = []

    async def work() -> list[Ended]:
        ended = []
        with Progress(*columns, console=console, transient=True) as progress:
            for each in chosen:
                async with opened(each.service) as house:
                    for place in each.places:
                        try:
                            ended.append(await _one(house, place, purpose, who, progress, anew=anew))
                        except Refused as refused:
                            refusals.append(refused.message)
        return ended

    ended = run(work())
    if refusals and not ended:
        raise Refused("; ".join(refusals))
    if as_json:
        view.as_json([each.as_json() for each in ended])
    else:
        _tell(ended)
    for refusal in refusals:
        click.echo(f"nilecare: {refusal}", err=True)
    if any(each.keys or each.run.failed for each in ended):
        raise click.exceptions.Exit(1)
    if refusals:
        raise click.exceptions.Exit(2)


async def _one(house: House, place: Place, purpose: Purpose, who: str, progress: Progress, *, anew: bool) -> Ended:
    """Begins a run and sees it to its end. Broken off, it goes on by itself."""
    try:
        async with house.database.transaction() as session:
            here = await session.scalar(select(func.count()).select_from(place.table).where(place.is_of_owner))
            id_ = await begin(session, place, purpose, who, anew=anew)
    except RunUnderWay as busy:
        raise Refused(f"{busy}: wait for it, or say --anew to begin another") from busy
    await house.wake()
    task = progress.add_task(f"{place.title}: {purpose}", total=here or None)
    try:
        while (seen := await _seen(house, id_)).state == "running":
            how = f"{place.title}: {purpose} {_under_way(place, seen)}"
            progress.update(task, description=how, completed=seen.rows, total=max(here or 0, seen.rows) or None)
            await asyncio.sleep(LOOK)
    except asyncio.CancelledError:
        click.echo(f"{place.title}: the {purpose} goes on by itself: {called()} replicas list", err=True)
        raise
    progress.remove_task(task)
    if seen.state == "given_up":
        raise Refused(f"{place.title}: {seen.reason}")
    async with house.database.transaction() as session:
        return Ended(place, seen, await drift_of(session, id_))


async def _seen(house: House, id_: UUID) -> Run:
    async with house.database.transaction() as session:
        found = await run_of(session, id_)
    assert found is not None
    return found


def _tell(ended: Sequence[Ended]) -> None:
    for each in ended:
        drift = ", ".join(f"{count:,} {kind}" for kind, count in sorted(each.run.drift.items()))
        differs = f"{drift} differ" if drift else "all as its owner has it"
        repaired = f", {each.run.repaired:,} repaired" if each.run.repaired else ""
        failed = f"; {each.run.failed:,} more for failed messages: {called()} dead-letters list" if each.run.failed else ""
        click.echo(f"{each.place.title}: {each.run.rows:,} rows, {differs}{repaired}{failed}")
        for key, kind, _ in each.keys[:SHOWN]:
            click.echo(f"  {kind:8} {key}")
        if len(each.keys) > SHOWN:
            click.echo(f"  and {len(each.keys) - SHOWN:,} more: --json has all")
