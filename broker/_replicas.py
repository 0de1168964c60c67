"""Replicas: local, read-only, versioned copies of another service's aggregates.

    class PatientReference(Replica[PatientChanged], Base):
        __tablename__ = "patient_reference"

        medical_record_number: Mapped[str]
        full_name: Mapped[str]

The highest version of a key wins, in whatever order and however often its states arrive. A deleted aggregate leaves a
tombstone, which only a newer version replaces; versions never restart, so a key that is created again is newer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import ModuleType
from typing import Any, ClassVar, Generic, Self, TypeVar, cast
from uuid import UUID

from sqlalchemy import ARRAY, BigInteger, ColumnElement, DateTime, Table, Text, Uuid, exists, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, declared_attr, mapped_column
from sqlalchemy.types import TypeEngine

from broker._copied import TELLER, own_columns, owner_of, state_event_of
from broker._envelope import Envelope
from broker._fresh import Fresh, Sessions, holds
from broker._replica_runs import take_answer
from broker._subscriptions import Subscription
from broker._upsert import Arrived, upsert
from broker.errors import DeclarationError, NotFound, NotYet
from contracts.backbone import ReplicaStates
from contracts.event import EVERY_SERVICE, StateEvent

State = TypeVar("State", bound=StateEvent)

KEY_TYPES: Mapping[type, Callable[[], TypeEngine[Any]]] = {UUID: Uuid, str: Text, int: BigInteger}


@dataclass(frozen=True, slots=True)
class Freshness:
    """How far a replica is. Times are None while it is empty."""

    rows: int
    deleted: int
    received_at: datetime | None
    """When a state last took effect here."""
    changed_at: datetime | None
    """When the owner published the newest state held here."""
    lag: timedelta
    """From publishing to effect, for the state that came last."""


_subscriptions: dict[type[Any], Subscription] = {}


class Replica(Generic[State]):
    """A mixin for the table of a replica; its columns are named like the contract's fields that it keeps."""

    __tablename__: str
    __table__: ClassVar[Any]

    fresh: ClassVar[Fresh | None] = None
    """How old it may be where it is read, if that matters: `fresh = Fresh(at_most=timedelta(minutes=1))`."""

    @declared_attr
    def id(cls) -> Mapped[Any]:  # noqa: N805 (SQLAlchemy gives the class)
        """The aggregate's id: the contract's key."""
        replica = cast("type[Replica[State]]", cls)
        event = state_event_of(replica)
        declared = cast("type", event.model_fields[event.contract.key].annotation)
        if declared not in KEY_TYPES:
            raise DeclarationError(f"{replica.__name__}: the key of {event.contract.name} is no UUID, str or int")
        return mapped_column(KEY_TYPES[declared](), primary_key=True, autoincrement=False)

    state_version: Mapped[int] = mapped_column(BigInteger)
    deleted: Mapped[bool]
    changed_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    received_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))

    @classmethod
    def kept(cls, event: State) -> dict[str, Any]:
        """The values of this replica's own columns; override where a column is not simply the field of its name."""
        return {name: getattr(event, name) for name in own_columns(cls.__table__)}

    @classmethod
    async def find(
        cls, session: AsyncSession, key: UUID | str | int, *, at_least: int | None = None, at_most: timedelta | None = None
    ) -> Self | None:
        """The row; None when it has not arrived or is deleted.

        at_least: a version that it must have: until then NotYet is raised, and the message waits for it. at_most: how old it
        may be here, in place of what `fresh` declares. Raises StaleReplica where `fresh` says so.
        """
        row = await cls._read(session, key, at_least, at_most)
        return row if row is not None and not row.deleted else None

    @classmethod
    async def require(
        cls, session: AsyncSession, key: UUID | str | int, *, at_least: int | None = None, at_most: timedelta | None = None
    ) -> Self:
        """The row. Raises NotYet when it has not arrived (the message then waits for it), NotFound when it is deleted.

        at_least, at_most, StaleReplica: as with `find`.
        """
        row = await cls._read(session, key, at_least, at_most)
        if row is None:
            raise NotYet(cls, str(key))
        if row.deleted:
            raise NotFound(replica=cls.__tablename__, id=key)
        return row

    @classmethod
    async def _read(
        cls, session: AsyncSession, key: UUID | str | int, at_least: int | None, at_most: timedelta | None
    ) -> Self | None:
        if cls.fresh is None and at_most is not None:
            raise DeclarationError(f"{cls.__tablename__} does not know how old it is: declare `fresh`")
        if cls.fresh is not None:
            await cls.fresh.check(session, cls, key, at_most)
        # A row that the session has seen before may be older than what was asked for.
        anew = cls.fresh is not None or at_least is not None
        row = await session.get(cls, key, populate_existing=anew)
        if at_least is not None and (row is None or row.state_version < at_least):
            raise NotYet(cls, str(key), at_least)
        return row

    @classmethod
    async def wait_for(cls, sessions: Sessions, key: UUID | str | int, version: int, *, seconds: float = 5.0) -> None:
        """Returns when this replica has `version` (or a newer one) of a key: how one reads one's own write.

        sessions: what gives a session, such as `database.transaction`. Raises TimeoutError after `seconds`.
        """
        table: Table = cls.__table__
        there = select(exists().where(table.c.id == key, table.c.state_version >= version))

        async def is_there(session: AsyncSession) -> bool:
            return bool(await session.scalar(there))

        if not await holds(sessions, is_there, seconds):
            raise TimeoutError(f"{cls.__tablename__} has no version {version} of {key} after {seconds} s")

    @classmethod
    async def freshness(cls, session: AsyncSession, *among: ColumnElement[bool]) -> Freshness:
        """How many rows it has, or has among some, and how far behind its owner the last one came."""
        table: Table = cls.__table__
        counts = (func.count(), func.count().filter(table.c.deleted), func.max(table.c.changed_at))
        rows, deleted, changed_at = (await session.execute(select(*counts).select_from(table).where(*among))).one()
        last = select(table.c.received_at, table.c.changed_at).where(*among).order_by(table.c.received_at.desc()).limit(1)
        newest = (await session.execute(last)).one_or_none()
        lag = newest.received_at - newest.changed_at if newest is not None else timedelta()
        return Freshness(rows, deleted, newest.received_at if newest is not None else None, changed_at, max(lag, timedelta()))

    @classmethod
    def subscription(cls) -> Subscription:
        """The subscription that feeds it, named after its table. Raises DeclarationError."""
        if cls not in _subscriptions:
            _subscriptions[cls] = _subscription(cls)
        return _subscriptions[cls]


def _subscription(replica: type[Replica[Any]]) -> Subscription:
    event = state_event_of(replica)
    unknown = [name for name in own_columns(replica.__table__) if name not in event.model_fields]
    if unknown and "kept" not in vars(replica):
        raise DeclarationError(
            f"{replica.__tablename__} has columns that {event.contract.name} does not: {', '.join(unknown)}; "
            "name them like the contract's fields, or override `kept`"
        )
    arrays = [column.name for column in replica.__table__.columns if isinstance(column.type, ARRAY)]
    if arrays:
        raise DeclarationError(f"{replica.__tablename__} has array columns: {', '.join(arrays)}; make them JSONB")

    if owner_of(replica) == EVERY_SERVICE:
        _check_tellers(replica, event)

    async def take(event: StateEvent | ReplicaStates, session: AsyncSession, envelope: Envelope) -> None:
        """Handles a message that failed when its batch was taken in."""
        if isinstance(event, ReplicaStates):
            await take_answer(session, replica, event, envelope, had_failed=True)
        else:
            await upsert(session, replica, [Arrived.by(envelope, event)])

    return Subscription(name=replica.__tablename__, events=(event, ReplicaStates), handler=take, on_failure="pass")


def _check_tellers(replica: type[Replica[Any]], event: type[StateEvent]) -> None:
    """Whether what every service publishes can be told apart by its service. Raises DeclarationError."""
    name = replica.__tablename__
    if TELLER not in event.model_fields or TELLER not in replica.__table__.c:
        raise DeclarationError(
            f"{name} copies {event.contract.name}, which every service publishes, and asks each for its own: "
            f"give both the contract and the replica a `{TELLER}`, the name of the service that says it"
        )
    if replica.fresh is not None:
        raise DeclarationError(f"{name} cannot say how old it is: every service publishes what it copies")


def replicas_in(module: ModuleType) -> list[type[Replica[Any]]]:
    """The replicas declared in a module, in the order of their appearance."""
    return [
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, Replica)
        and value.__module__ == module.__name__
        and "__tablename__" in vars(value)
    ]
