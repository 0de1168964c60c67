"""Filling, checking and repairing a replica: a run asks the owner for states, a few messages at a time, from the first key to
the last, and compares or takes in what comes. Where it is stands in the replica's database, and changes with each message.

What differs is looked at again, key by key, once everything has been seen: a state may have been on its way. Only what
differs twice in a row is drift. Since an owner's messages are queued in the order of its commits, the second look sees every
change that the first one missed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, Protocol
from typing import cast as typed
from uuid import UUID

import structlog
from pydantic_core import from_json, to_json
from sqlalchemy import (
    ColumnElement,
    FromClause,
    Row,
    Table,
    Text,
    and_,
    case,
    cast,
    delete,
    func,
    insert,
    literal,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.dialects.postgresql import insert as pg_insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from broker._answering import ANSWERING
from broker._clock import clock
from broker._context import uuid7
from broker._copied import TELLER, own_columns, owner_of, state_event_of
from broker._envelope import Envelope
from broker._marks import ask_for_mark, take_mark
from broker._pouring import plain_fields, poured_rows
from broker._projections import by_key, key_of
from broker._publishing import publish
from broker._tables import failed_message, replica_drift, replica_run
from broker._upsert import Arrived, Surplus, Wins, columns_of, given_rows, pour, pour_range, surplus_to, upsert
from broker.errors import BackboneError
from contracts.backbone import Drift, ReplicaRepaired, ReplicaRequested, ReplicaState, ReplicaStates
from contracts.event import EVERY_SERVICE, StateEvent

if TYPE_CHECKING:
    from broker._replicas import Replica
    from broker._service import Service

log = structlog.get_logger("nilecare.replicas")

Purpose = Literal["fill", "check", "repair"]
RunState = Literal["running", "done", "given_up"]

AGAIN = 500
"""Keys that are looked at again at once."""

_names_the_run = func.position(func.convert_to(cast(replica_run.c.id, Text), "UTF8").op("IN")(failed_message.c.body)) > 0
WAITS_FOR = case(
    (
        replica_run.c.state == "running",
        select(func.min(failed_message.c.position))
        .where(failed_message.c.subscription == replica_run.c.replica, failed_message.c.type == ReplicaStates.contract.name)
        .where(_names_the_run)
        .scalar_subquery(),
    )
)
"""Position of the failed message that a run does not go on without: an answer of its owner."""


class RunUnderWay(BackboneError):
    """The replica is being filled, checked or repaired already."""


@dataclass(frozen=True, slots=True)
class Run:
    """A run, as far as it is. drift: how many keys differed twice, by how; repaired: how many of them were put right.

    changed_at: when something came for it last. waits_for: the position of the failed message without which it does not go on.
    """

    id: UUID
    replica: str
    owner: str | None
    purpose: Purpose
    state: RunState
    asked_by: str
    rows: int
    failed: int
    reason: str | None
    began_at: datetime
    changed_at: datetime
    ended_at: datetime | None
    waits_for: int | None
    drift: Mapping[Drift, int]
    repaired: int


@dataclass(frozen=True, slots=True)
class Place:
    """A replica, the service that keeps it, and whose states are meant where every service tells what it copies."""

    service: str
    replica: type[Replica[Any]]
    owner: str | None = None

    def __post_init__(self) -> None:
        if (self.owner is not None) != (owner_of(self.replica) == EVERY_SERVICE):
            raise ValueError(f"{self.queue}: an owner is named where every service tells what it copies, and only there")

    @property
    def name(self) -> str:
        """The replica's table, after which its subscription is named."""
        return self.replica.__tablename__

    @property
    def queue(self) -> str:
        """Where the owner's answers go."""
        return f"{self.service}.{self.name}"

    @property
    def title(self) -> str:
        """What people call it: `operations.failed_message_reference of billing`."""
        return self.queue if self.owner is None else f"{self.queue} of {self.owner}"

    @property
    def event(self) -> type[StateEvent]:
        """What it copies."""
        return state_event_of(self.replica)

    @property
    def table(self) -> Table:
        """Its table."""
        table: Table = self.replica.__table__
        return table

    @property
    def is_of_owner(self) -> ColumnElement[bool]:
        """The rows of the replica that its owner is asked about."""
        return true() if self.owner is None else self.table.c[TELLER] == self.owner

    @property
    def is_run(self) -> ColumnElement[bool]:
        """The runs over it."""
        return (replica_run.c.replica == self.name) & (replica_run.c.owner == (self.owner or ""))


def places_of(service: Service, subscribed: Mapping[str, frozenset[str]]) -> list[Place]:
    """The replicas that a service keeps; what every service tells once for each of those that can be asked.

    subscribed: the queues of the platform that subscribe to each event type (`check_platform`).
    """
    asked = (queue.split(".") for queue in subscribed.get(ReplicaRequested.contract.name, ()))
    tellers = sorted(name for name, subscription in asked if subscription == ANSWERING)
    return [
        Place(service.name, replica, owner)
        for replica in service.replicated
        for owner in (tellers if owner_of(replica) == EVERY_SERVICE else (None,))
    ]


async def begin(session: AsyncSession, place: Place, purpose: Purpose, asked_by: str, *, anew: bool = False) -> UUID:
    """Begins a run; gives its id. anew: gives up one that is under way. Raises RunUnderWay."""
    now, id_ = clock.now(), uuid7()
    if anew:
        given_up = {"state": "given_up", "ended_at": now, "reason": f"{asked_by} began another"}
        running = replica_run.c.state == "running"
        await session.execute(update(replica_run).where(place.is_run, running).values(given_up))
    row = {
        "id": id_, "replica": place.name, "owner": place.owner or "",
        "purpose": purpose, "state": "running", "asked_by": asked_by,
        "columns": sorted(own_columns(place.table)), "began_at": now, "changed_at": now,
    }  # fmt: skip
    begun = pg_insert(replica_run).values(row).on_conflict_do_nothing().returning(replica_run.c.id)
    if await session.scalar(begun) is None:
        raise RunUnderWay(f"{place.title}: a run is under way")
    _ask(session, place, id_)
    return id_


async def ask_again(session: AsyncSession, place: Place, run: Row[Any]) -> None:
    """Asks the owner for what a run lacks: what it was asked before may be lost, or discarded. Twice does no harm."""
    await session.execute(update(replica_run).where(replica_run.c.id == run.id).values(asked_again_at=clock.now()))
    if run.is_looking_again:
        await _go_on(session, place, run)
    else:
        _ask(session, place, run.id, after=run.at)


async def runs(session: AsyncSession, place: Place, *, limit: int = 100) -> list[Run]:
    """The latest runs over a replica, the newest first."""
    newest = (replica_run.c.began_at.desc(), replica_run.c.id.desc())
    query = select(replica_run).where(place.is_run).order_by(*newest).limit(limit)
    return [await _shown(session, row) for row in await session.execute(query)]


async def run_of(session: AsyncSession, id_: UUID) -> Run | None:
    """One run."""
    row = (await session.execute(select(replica_run).where(replica_run.c.id == id_))).one_or_none()
    return await _shown(session, row) if row is not None else None


async def waits_for(session: AsyncSession, id_: UUID) -> int | None:
    """The failed message that a run does not go on without, if there is one."""
    position: int | None = await session.scalar(select(WAITS_FOR).where(replica_run.c.id == id_))
    return position


async def drift_of(session: AsyncSession, id_: UUID) -> list[tuple[str, Drift, bool]]:
    """The keys that a run confirmed to differ, how, and whether each was repaired."""
    columns = (replica_drift.c.key, replica_drift.c.drift, replica_drift.c.is_repaired)
    query = select(*columns).where(replica_drift.c.run_id == id_, replica_drift.c.is_confirmed).order_by(replica_drift.c.key)
    return [(key, drift, is_repaired) for key, drift, is_repaired in await session.execute(query)]


async def last_runs(session: AsyncSession | AsyncConnection) -> list[ReplicaState]:
    """The last run of each replica, and of each owner where there are several, for operations."""
    drifted = select(func.count()).where(replica_drift.c.run_id == replica_run.c.id, replica_drift.c.is_confirmed)
    columns = (replica_run.c[name] for name in ("purpose", "state", "rows", "began_at", "changed_at", "ended_at"))
    counted = drifted.scalar_subquery().label("drift")
    which = (replica_run.c.replica, replica_run.c.owner)
    named = (replica_run.c.replica.label("name"), func.nullif(replica_run.c.owner, "").label("owner"))
    query = (
        select(*named, *columns, counted, WAITS_FOR.label("waits_for"))
        .ext(distinct_on(*which))
        .order_by(*which, replica_run.c.began_at.desc())
    )
    return [ReplicaState(**row) for row in (await session.execute(query)).mappings()]


async def _shown(session: AsyncSession, row: Row[Any]) -> Run:
    how = (replica_drift.c.drift, func.count(), func.count().filter(replica_drift.c.is_repaired))
    confirmed = (replica_drift.c.run_id == row.id) & replica_drift.c.is_confirmed
    found = (await session.execute(select(*how).where(confirmed).group_by(replica_drift.c.drift))).all()
    drift: dict[Drift, int] = {kind: count for kind, count, _ in found}
    repaired = sum(count for *_, count in found)
    waiting = await waits_for(session, row.id)
    names = ("id", "replica", "purpose", "state", "asked_by", "rows", "failed", "reason", "began_at", "changed_at", "ended_at")
    shown = {name: getattr(row, name) for name in names}
    return Run(**shown, owner=row.owner or None, waits_for=waiting, drift=drift, repaired=repaired)


def _ask(session: AsyncSession, place: Place, run: UUID, *, after: str | None = None, keys: list[str] | None = None) -> None:
    asked = {"type": place.event.contract.name, "owner": place.owner, "fields": plain_fields(place.replica)}
    publish(session, ReplicaRequested(replica=place.queue, run_id=run, after=after, keys=keys, **asked))


async def take_answer(
    session: AsyncSession, replica: type[Replica[Any]], states: ReplicaStates, envelope: Envelope, *, had_failed: bool = False
) -> int:
    """Takes in what the owner says; gives how many messages that wakes which waited for it.

    had_failed: it is tried once more. What came behind it was passed over, so the run goes on from there.
    """
    if states.keys == []:
        await take_mark(session, replica.__tablename__, states.run_id)
        return 0
    query = select(replica_run).where(replica_run.c.id == states.run_id, replica_run.c.state == "running").with_for_update()
    run = (await session.execute(query)).one_or_none()
    if run is None:
        return 0
    place = Place(states.replica.partition(".")[0], replica, run.owner or None)
    if states.refusal is not None:
        await _end(session, place, run, "given_up", reason=states.refusal)
        return 0
    if plain_fields(place.replica) is not None and states.type_version != place.event.contract.version:
        reason = f"{states.type} comes in version {states.type_version}, and version {place.event.contract.version} is known"
        await _end(session, place, run, "given_up", reason=reason)
        return 0
    if states.keys is not None:
        goes_on = had_failed or (states.ask_after is not None and await waits_for(session, run.id) is None)
        return await _look_again(session, place, run, states, envelope.time, goes_on=goes_on)
    if run.is_looking_again or run.at != states.after:
        return 0  # it was taken in before: the owner was asked twice
    woken = await _take_range(session, place, run, states, envelope.time)
    is_all = states.upto is None
    done = {"at": states.upto, "rows": run.rows + states.count, "changed_at": clock.now(), "is_looking_again": is_all}
    await session.execute(update(replica_run).where(replica_run.c.id == run.id).values(done))
    if is_all:
        await _go_on(session, place, run)
    elif had_failed:
        _ask(session, place, run.id, after=states.upto)
    elif states.ask_after is not None:
        _ask(session, place, run.id, after=states.ask_after)
    return woken


async def _take_range(session: AsyncSession, place: Place, run: Row[Any], states: ReplicaStates, at: datetime) -> int:
    given, among = _given(place, states, at), _between(place, states)
    woken = 0
    if run.purpose == "fill":
        surplus, woken = await given.fill(session, among)
        suspects = _surplus_ones(surplus)
    else:
        suspects = await _surplus(session, place, among, given) | await _differences(session, place, given)
    if suspects:
        rows = [{"run_id": run.id, "key": key, "drift": each.drift, "version": each.version} for key, each in suspects.items()]
        await session.execute(insert(replica_drift), rows)
    return woken


async def _look_again(
    session: AsyncSession, place: Place, run: Row[Any], states: ReplicaStates, at: datetime, *, goes_on: bool
) -> int:
    """Confirms what still differs, and repairs it where that is wanted; forgets the rest."""
    asked = replica_drift.c.key.in_(states.keys or []) & (replica_drift.c.run_id == run.id) & ~replica_drift.c.is_confirmed
    seen = {row.key: row.version for row in await session.execute(select(replica_drift).where(asked))}
    id_ = place.table.c.id
    wanted = id_.in_([key_of(id_, key) for key in seen])
    await session.execute(select(id_).where(wanted).order_by(id_).with_for_update())
    given = _given(place, states, at, seen)
    found = await _surplus(session, place, place.is_of_owner & wanted, given) | await _differences(session, place, given)
    # What the owner does not know yet may have come between the looks: then it is not what the first one saw.
    differ = {key: each.drift for key, each in found.items() if not each.is_ahead or each.version == seen[key]}
    failed = await _failed(session, place, differ)
    confirmed = {key: drift for key, drift in differ.items() if key not in failed}
    await session.execute(delete(replica_drift).where(asked, replica_drift.c.key.not_in(confirmed)))
    repairs = run.purpose != "check"
    for drift in set(confirmed.values()):
        keys = [key for key, kind in confirmed.items() if kind == drift]
        told = {"drift": drift, "is_confirmed": True, "is_repaired": repairs}
        await session.execute(update(replica_drift).where(asked, replica_drift.c.key.in_(keys)).values(told))
    progress = {"failed": run.failed + len(failed), "changed_at": clock.now()}
    await session.execute(update(replica_run).where(replica_run.c.id == run.id).values(progress))
    woken = await _repair(session, place, run.id, confirmed, _given(place, states, at, confirmed)) if repairs else 0
    if goes_on:
        await _go_on(session, place, run)
    return woken


async def _repair(session: AsyncSession, place: Place, run: UUID, confirmed: Mapping[str, Drift], given: Given) -> int:
    id_ = place.table.c.id
    surplus = [key_of(id_, key) for key, drift in confirmed.items() if drift == "surplus"]
    if surplus:
        await session.execute(delete(place.table).where(id_.in_(surplus)))
    woken = await given.upsert(session, Wins.ALWAYS)
    for key, drift in confirmed.items():
        log.warning("replica.repaired", replica=place.title, key=key, drift=drift)
        publish(session, ReplicaRepaired(replica=place.queue, run_id=run, aggregate=key, drift=drift))
    return woken


async def _go_on(session: AsyncSession, place: Place, run: Row[Any]) -> None:
    """Asks for the next keys that differed once; ends the run when there are none."""
    left = (replica_drift.c.run_id == run.id) & ~replica_drift.c.is_confirmed
    keys = list(await session.scalars(select(replica_drift.c.key).where(left).order_by(replica_drift.c.key).limit(AGAIN)))
    if keys:
        _ask(session, place, run.id, keys=keys)
    else:
        await _end(session, place, run, "done")


async def _end(session: AsyncSession, place: Place, run: Row[Any], state: RunState, *, reason: str | None = None) -> None:
    ended = {"state": state, "ended_at": clock.now(), "changed_at": clock.now(), "reason": reason}
    await session.execute(update(replica_run).where(replica_run.c.id == run.id).values(ended))
    if state == "done" and place.replica.fresh is not None:
        await ask_for_mark(session, place)
    shown = typed("Run", await run_of(session, run.id))
    log.info(
        f"replica.{shown.purpose}_ended", replica=place.title, state=state, rows=shown.rows, drift=dict(shown.drift),
        repaired=shown.repaired, failed=shown.failed, reason=reason,
    )  # fmt: skip


class Given(Protocol):
    """States that an owner sent, for statements."""

    @property
    def rows(self) -> FromClause:
        """They, as rows of the replica, in a table `new`."""

    @property
    def values(self) -> Mapping[str, Any]:
        """What `rows` needs."""

    async def upsert(self, session: AsyncSession, wins: Wins) -> int:
        """Brings the replica up to them; gives how many messages that wakes."""

    async def fill(self, session: AsyncSession, among: ColumnElement[bool]) -> tuple[Surplus, int]:
        """The same for a fill; gives which rows `among` the replica's are none of them too."""


@dataclass(frozen=True, slots=True)
class Poured:
    """States that the database takes in as they stand."""

    place: Place
    states: ReplicaStates
    at: datetime

    @property
    def rows(self) -> FromClause:
        return poured_rows(self.place.table, self.place.event.contract.key, tuple(self.states.fields))

    @property
    def values(self) -> Mapping[str, Any]:
        return {"rows": self.states.rows, "changed_at": self.at, "received_at": clock.now()}

    async def upsert(self, session: AsyncSession, wins: Wins) -> int:
        return await pour(session, self.place.replica, self.rows, self.values, self.versions, wins)

    async def fill(self, session: AsyncSession, among: ColumnElement[bool]) -> tuple[Surplus, int]:
        return await pour_range(session, self.place.replica, self.rows, self.values, self.versions, among)

    def versions(self) -> Mapping[str, int]:
        fields = self.states.fields
        key, version = fields.index(self.place.event.contract.key), fields.index("state_version")
        return {str(row[key]): row[version] for row in from_json(self.states.rows)}


@dataclass(frozen=True, slots=True)
class Made:
    """States that were read by their contract."""

    place: Place
    states: Sequence[Arrived]

    @property
    def rows(self) -> FromClause:
        return given_rows(self.place.table)

    @property
    def values(self) -> Mapping[str, Any]:
        return columns_of(self.place.replica, self.states)

    async def upsert(self, session: AsyncSession, wins: Wins) -> int:
        return await upsert(session, self.place.replica, self.states, wins)

    async def fill(self, session: AsyncSession, among: ColumnElement[bool]) -> tuple[Surplus, int]:
        found = await session.execute(surplus_to(self.rows, self.place.table, among), self.values)
        return {str(id_): version for id_, version in found}, await self.upsert(session, Wins.SAYS_MORE)


def _given(place: Place, states: ReplicaStates, at: datetime, keys: Collection[str] | None = None) -> Given:
    """The states, or those of certain keys; read by their contract where a column is more than a field."""
    if keys is not None:
        own = states.fields.index(place.event.contract.key)
        rows = [row for row in from_json(states.rows) if str(row[own]) in keys]
        states = states.model_copy(update={"rows": to_json(rows).decode(), "count": len(rows)})
    if plain_fields(place.replica) is not None:
        return Poured(place, states, at)
    return Made(place, _read(place.event, states, at))


def _read(event: type[StateEvent], states: ReplicaStates, at: datetime) -> list[Arrived]:
    """The states. Raises NewerVersion, ValidationError."""
    said = [to_json(dict(zip(states.fields, row, strict=True))) for row in from_json(states.rows)]
    return [Arrived(each, each.subject, at) for each in (event.read(body, states.type_version) for body in said)]


def _between(place: Place, states: ReplicaStates) -> ColumnElement[bool]:
    id_ = place.table.c.id
    bounds: list[ColumnElement[bool]] = []
    if states.after is not None:
        bounds.append(by_key(id_) > key_of(id_, states.after))
    if states.upto is not None:
        bounds.append(by_key(id_) <= key_of(id_, states.upto))
    return and_(place.is_of_owner, *bounds)


@dataclass(frozen=True, slots=True)
class Suspect:
    """How a row differs from what its owner has, its version, and whether that is above the owner's."""

    drift: Drift
    version: int | None
    is_ahead: bool


async def _surplus(session: AsyncSession, place: Place, among: ColumnElement[bool], given: Given) -> dict[str, Suspect]:
    """Rows of which the owner knows nothing."""
    found = await session.execute(surplus_to(given.rows, place.table, among), given.values)
    return _surplus_ones({str(id_): version for id_, version in found})


def _surplus_ones(versions: Surplus) -> dict[str, Suspect]:
    return {key: Suspect("surplus", version, is_ahead=True) for key, version in versions.items()}


async def _differences(session: AsyncSession, place: Place, given: Given) -> dict[str, Suspect]:
    """Rows that are not as the owner has them."""
    here, new = place.table.alias("here"), given.rows
    contents = ("deleted", *own_columns(place.table))
    is_other = or_(*(here.c[name].is_distinct_from(new.c[name]) for name in contents))
    is_ahead = func.coalesce(here.c.state_version > new.c.state_version, literal(False))
    is_stale = here.c.state_version < new.c.state_version
    drift = case((here.c.id.is_(None), "missing"), (is_stale, "stale"), (is_ahead | is_other, "altered"))
    joined = new.outerjoin(here, here.c.id == new.c.id)
    query = select(new.c.id, drift, here.c.state_version, is_ahead).select_from(joined).where(drift.is_not(None))
    found = await session.execute(query, given.values)
    return {str(id_): Suspect(*how) for id_, *how in found}


async def _failed(session: AsyncSession, place: Place, keys: Collection[str]) -> set[str]:
    """Those of the keys that differ because a message of theirs could not be handled: that is known, and replayed."""
    if not keys:
        return set()
    mine = (failed_message.c.subscription == place.name) & failed_message.c.key.in_(keys)
    return set(await session.scalars(select(failed_message.c.key).where(mine)))
