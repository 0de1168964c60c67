"""Publishing state: every change of an aggregate reaches its replicas, with a version that only grows.

    @publishes_state(PatientChanged)
    class Patient(StateOwner, Base): ...

Whatever a transaction does to such an object through the session, one state event per object leaves with its commit and
says how the object then is. A flush locks the rows that it is about to change, looks whether they still are what was
loaded, and draws their versions under the lock: so versions follow the order of commits, and nothing is published that
another transaction has changed meanwhile.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

from sqlalchemy import BigInteger, Delete, Insert, Table, Update, inspect, select, text
from sqlalchemy import event as sa_event
from sqlalchemy.orm import Mapped, ORMExecuteState, Session, UOWTransaction, mapped_column, object_session
from sqlalchemy.orm.attributes import flag_dirty

from broker._publishing import PUBLISHER, lock_number, publish_in
from broker.errors import DeclarationError, Overtaken, StateBypassed
from contracts.event import StateEvent

CHANGED = "backbone.changed"
TOUCHED = "backbone.touched"

# Locks the keys that appear or disappear, then draws as many versions as asked for: one key's follow the order of commits.
DRAW = text(
    """
    WITH locked AS MATERIALIZED (
        SELECT count(pg_advisory_xact_lock(lock)) AS locks
        FROM (SELECT DISTINCT lock FROM unnest(CAST(:locks AS bigint[])) lock ORDER BY lock) ordered
    )
    SELECT nextval('backbone.state_version') FROM locked, generate_series(1, :count) WHERE locked.locks >= 0
    """
)


class StateOwner:
    """A mixin for the mapped class of an aggregate that publishes its state."""

    state_version: Mapped[int] = mapped_column(BigInteger)

    deleted = False
    """For `Event.of(self)`; the tombstone of a deleted object is made by the backbone."""

    def to_state(self) -> StateEvent:
        """The object's public state; override where it is not simply the attributes of the contract's names.

        The object's own `id` serves as the contract's key.
        """
        event = state_of(type(self))
        key = event.contract.key
        own_key = {} if hasattr(self, key) else {key: _key(self)}
        return event.of(self, **own_key)


Owner = TypeVar("Owner", bound=type[StateOwner])

_states: dict[type[StateOwner], type[StateEvent]] = {}
_tables: dict[Table, type[StateOwner]] = {}


def publishes_state(event: type[StateEvent]) -> Callable[[Owner], Owner]:
    """Declares that objects of a mapped class publish their state as `event`. Raises DeclarationError."""

    def declare(owner: Owner) -> Owner:
        if not issubclass(owner, StateOwner):
            raise DeclarationError(f"{owner.__name__} publishes its state: let it inherit from StateOwner")
        mapper = inspect(owner)
        if len(mapper.primary_key) != 1:
            raise DeclarationError(f"{owner.__name__} publishes its state: it needs one primary key column")
        if owner.deleted is not False:
            raise DeclarationError(
                f"{owner.__name__} publishes its state: it is deleted when its row is; name its `deleted` otherwise"
            )
        _states[owner] = event
        _tables[cast("Table", mapper.local_table)] = owner
        return owner

    return declare


def state_of(owner: type[StateOwner]) -> type[StateEvent]:
    """The event that objects of this class publish their state as. Raises DeclarationError."""
    for base in owner.__mro__:
        if base in _states:
            return _states[base]
    raise DeclarationError(f"{owner.__name__} is a StateOwner: say with @publishes_state what it publishes")


def touch(owner: StateOwner) -> None:
    """Makes an object publish its state although no column of its own changes: when one of its parts did.

    A new object publishes its state in any case.
    """
    session = object_session(owner)
    if session is not None and inspect(owner).persistent:
        flag_dirty(owner)
        session.info.setdefault(TOUCHED, []).append(owner)


def _key(owner: StateOwner) -> Any:
    return inspect(owner).mapper.primary_key_from_instance(owner)[0]


def _lock(owner: StateOwner) -> list[int]:
    key = _key(owner)
    return [] if key is None else [lock_number("state", state_of(type(owner)).contract.name, str(key))]


def _before_flush(session: Session, context: UOWTransaction, instances: object) -> None:
    session.info.pop(CHANGED, None)  # left by a flush that failed
    deleted = [item for item in session.deleted if isinstance(item, StateOwner)]
    created = [item for item in session.new if isinstance(item, StateOwner)]
    touched = session.info.pop(TOUCHED, [])
    changed = [item for item in session.dirty if isinstance(item, StateOwner) and _is_changed(session, item, touched)]
    if not (deleted or created or changed):
        return
    if PUBLISHER not in session.info:
        raise StateBypassed("this session does not publish: change aggregates in a session of the service's Database")
    _lock_rows(session, [*deleted, *changed])
    locks = [lock for owner in (*deleted, *created) for lock in _lock(owner)]
    # Deleted first: what is created again under the same key in one transaction is the newer.
    owners = [*deleted, *created, *changed]
    versions = session.scalars(DRAW, {"locks": locks, "count": len(owners)}).all()
    drawn = dict(zip(map(id, owners), sorted(versions), strict=True))
    for owner in deleted:
        publish_in(session, owner.to_state().model_copy(update={"state_version": drawn[id(owner)], "deleted": True}))
    for owner in (*created, *changed):
        owner.state_version = drawn[id(owner)]
    session.info[CHANGED] = [*created, *changed]


def _is_changed(session: Session, owner: StateOwner, touched: Sequence[StateOwner]) -> bool:
    return session.is_modified(owner, include_collections=False) or any(one is owner for one in touched)


def _lock_rows(session: Session, owners: Sequence[StateOwner]) -> None:
    by_class: dict[type[StateOwner], list[StateOwner]] = defaultdict(list)
    for owner in owners:
        by_class[type(owner)].append(owner)
    for class_ in sorted(by_class, key=lambda class_: class_.__name__):
        mapper = inspect(class_)
        key = mapper.primary_key[0]
        version = mapper.columns["state_version"]
        mine = {_key(owner): _loaded_version(owner) for owner in by_class[class_]}
        rows = session.connection().execute(select(key, version).where(key.in_(mine)).order_by(key).with_for_update())
        now = {row[0]: row[1] for row in rows}
        if now != mine:
            raise Overtaken(f"a {class_.__name__} was changed by another transaction after it was loaded here")


def _loaded_version(owner: StateOwner) -> int:
    history = inspect(owner).attrs.state_version.history
    return cast("int", (history.deleted or history.unchanged or history.added or [owner.state_version])[0])


def _after_flush(session: Session, context: UOWTransaction) -> None:
    for owner in session.info.pop(CHANGED, ()):
        publish_in(session, owner.to_state())


def _refuse_bulk(state: ORMExecuteState) -> None:
    statement = state.statement
    if isinstance(statement, (Insert, Update, Delete)):
        owner = _tables.get(cast("Table", statement.table))
        if owner is not None:
            raise StateBypassed(
                f"a bulk statement on {owner.__name__} would not reach its replicas: change the objects through the session"
            )


sa_event.listen(Session, "before_flush", _before_flush)
sa_event.listen(Session, "after_flush_postexec", _after_flush)
sa_event.listen(Session, "do_orm_execute", _refuse_bulk)
