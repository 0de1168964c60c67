"""`nilecare replicas erased`: where a person's data was, that it is gone or lawfully kept, and why."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import click
from rich.console import Console
from rich.table import Column, Table
from sqlalchemy import String, cast, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from broker import Service, age
from broker._actions import Action, disclosed
from broker._erasure import left_of
from broker._tables import erased
from nilecare.dead_letters import view
from nilecare.dead_letters.access import as_json_option, opened, run
from nilecare.platform import services

STATES = {"gone": "green", "lawfully kept": "cyan", "still there": "red"}


@dataclass(frozen=True, slots=True)
class Place:
    """A table: how many rows had data of the person at the erasure, how many do now, and why those may stay."""

    table: str
    then: int
    now: int
    because: str | None = None

    @property
    def state(self) -> str:
        """How it is now."""
        return "gone" if not self.now else "lawfully kept" if self.because else "still there"


@dataclass(frozen=True, slots=True)
class Proof:
    """What one service says. noted_at: when it heard of the erasure; None where it has not yet.

    disclosed: when data of the person was shown or exported before, and how many messages each time.
    """

    service: str
    kind: str | None
    erased_at: datetime | None
    noted_at: datetime | None
    places: Sequence[Place]
    disclosed: Sequence[tuple[Action, int]]

    @property
    def is_done(self) -> bool:
        """Whether it has heard of it, and nothing is left that may not stay."""
        return self.noted_at is not None and all(place.state != "still there" for place in self.places)


@click.command("erased")
@click.argument("key")
@as_json_option
def command(key: str, as_json: bool) -> None:
    """Prove that a person is erased: KEY is their id. Ends with status 1 while something is left that may not stay."""
    person = _id(key)

    async def work() -> list[Proof]:
        proofs = []
        for service in services():
            if any(subscription.name == "erasures" for subscription in service.subscriptions):
                async with opened(service) as house, house.database.transaction() as session:
                    proofs.append(await _proof(session, service, person))
        return proofs

    proofs = run(work())
    known = any(proof.noted_at is not None for proof in proofs)
    is_done = known and all(proof.is_done for proof in proofs)
    if as_json:
        view.as_json({"person": person, "is_known": known, "is_done": is_done, "services": [_as_json(each) for each in proofs]})
    elif known:
        _tell(person, proofs)
    else:
        click.echo(f"nobody of the id {person} was ever erased, as far as any service has heard")
    if not is_done:
        raise click.exceptions.Exit(1)


def _id(key: str) -> UUID:
    try:
        return UUID(key)
    except ValueError as wrong:
        raise click.BadParameter(f"a person's id is a UUID, which {key!r} is not", param_hint="KEY") from wrong


async def _proof(session: AsyncSession, service: Service, person: UUID) -> Proof:
    row = (await session.execute(select(erased).where(erased.c.person == person))).one_or_none()
    then = row.found if row is not None else {}
    now = await left_of(session, service, person)
    places = [Place(table, then.get(table, 0), now.get(table, 0)) for table in sorted(then.keys() | now.keys())]
    places += await _retained(session, service, person)
    given = await disclosed(session, person)
    if row is None:
        return Proof(service.name, None, None, None, places, given)
    return Proof(service.name, row.kind, row.erased_at, row.noted_at, places, given)


async def _retained(session: AsyncSession, service: Service, person: UUID) -> list[Place]:
    """What stays, by the service's own word."""
    places = []
    for kept in service.retained:
        table = service.tables.tables[kept.table]
        whose = cast(table.c[kept.column], String) == str(person)
        count = await session.scalar(select(func.count()).select_from(table).where(whose)) or 0
        if count:
            places.append(Place(kept.table, count, count, kept.because))
    return places


def _as_json(proof: Proof) -> dict[str, Any]:
    places = [
        {"table": each.table, "then": each.then, "now": each.now, "state": each.state, "because": each.because}
        for each in proof.places
    ]
    given = [
        {"verb": action.verb, "by": action.asked_by, "why": action.why, "at": action.began_at, "messages": messages}
        for action, messages in proof.disclosed
    ]
    names = ("service", "kind", "erased_at", "noted_at", "is_done")
    return {name: getattr(proof, name) for name in names} | {"places": places, "disclosed": given}


def _tell(person: UUID, proofs: Sequence[Proof]) -> None:
    first = min(proof.erased_at for proof in proofs if proof.erased_at is not None)
    click.echo(f"{person} was erased {age(first)} ago, at {first:%Y-%m-%d %H:%M:%S %Z}")
    table = Table(Column("where", no_wrap=True), "at the erasure", "now", Column("", overflow="fold"), box=None)
    for proof in proofs:
        for row in _rows(proof):
            table.add_row(*row)
    Console().print(table)
    for proof in proofs:
        for action, messages in proof.disclosed:
            click.echo(
                f"given out of {proof.service}: {view.plural(messages, 'message')}, to {action.asked_by} on "
                f"{action.began_at:%Y-%m-%d} ({action.verb}: {action.why})"
            )
    late = [proof.service for proof in proofs if proof.noted_at is None]
    rows = sum(place.now for proof in proofs for place in proof.places if place.state == "still there")
    if late:
        click.echo(f"on its way: {', '.join(late)} has not heard of it yet")
    if rows:
        click.echo(f"rows that are still there: {rows:,}")
    if not late and not rows:
        click.echo("nothing is left but what is lawfully kept")


def _rows(proof: Proof) -> Iterator[tuple[str, str, str, str]]:
    if proof.noted_at is None:
        yield proof.service, "", "", "has not heard of it yet"
    elif not proof.places:
        yield proof.service, "0", "0", "had nothing"
    for place in proof.places:
        said = f"[{STATES[place.state]}]{place.state}[/]" + (f": {place.because}" if place.because else "")
        yield f"{proof.service}.{place.table}", f"{place.then:,}", f"{place.now:,}", said
