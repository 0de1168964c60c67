"""What an owner has: the states of its objects, in the order of their keys, as one statement sees them.

It is the projection that its events are made by (`to_state`). Where each field is a column, the columns are read without
making objects of them.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, String, collate, inspect, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session, selectinload

from broker._states import StateOwner, state_of
from contracts.event import StateEvent

Key = UUID | str | int


@dataclass(frozen=True, slots=True)
class State:
    """One object's state: its key, as text, and the contract's fields in their order."""

    key: str
    values: list[Any]


def by_key(column: Any) -> ColumnElement[Any]:
    """A key column in the order that owner and replica share: text by its bytes, whatever their databases' collations are."""
    key: ColumnElement[Any] = collate(column, "C") if isinstance(column.type, String) else column
    return key


def key_of(column: Any, key: str) -> Key:
    """A key that a message gives as text, as the column holds it. Raises ValueError."""
    return column.type.python_type(key)  # type: ignore[no-any-return]


class Projection:
    """Reads the states of one class of objects."""

    def __init__(self, owner: type[StateOwner]) -> None:
        mapper = inspect(owner)
        self.event: type[StateEvent] = state_of(owner)
        self.fields = [name for name in self.event.model_fields if name != "deleted"]
        self._owner = owner
        self._key = getattr(owner, mapper.get_property_by_column(mapper.primary_key[0]).key)
        self._columns = self._plain_columns()

    async def after(self, session: AsyncSession, key: str | None, limit: int) -> list[State]:
        """The next `limit` states above a key; the first ones where none is given."""
        condition = [] if key is None else [by_key(self._key) > key_of(self._key, key)]
        return await self._read(session, condition, limit)

    async def of(self, session: AsyncSession, keys: Collection[str]) -> list[State]:
        """The states of these keys, as far as there are objects."""
        return await self._read(session, [self._key.in_([key_of(self._key, key) for key in keys])], len(keys))

    async def _read(self, session: AsyncSession, condition: Sequence[ColumnElement[bool]], limit: int) -> list[State]:
        if self._columns is None:
            query = select(self._owner).where(*condition).order_by(by_key(self._key)).limit(limit)
            return await session.run_sync(self._objects, query)
        rows = select(self._key, *self._columns).where(*condition).order_by(by_key(self._key)).limit(limit)
        return [State(str(row[0]), list(row[1:])) for row in await session.execute(rows)]

    def _objects(self, session: Session, query: Select[Any]) -> list[State]:
        """Loads objects with what belongs to them; a state may look into that."""
        found = session.scalars(query.options(selectinload("*")), execution_options={"populate_existing": True}).all()
        states = [each.to_state() for each in found]
        for each in found:
            session.expunge(each)
        return [State(state.subject, [getattr(state, name) for name in self.fields]) for state in states]

    def _plain_columns(self) -> list[Any] | None:
        """A column for each field; None where one has none, or the class makes its states itself."""
        if self._owner.to_state is not StateOwner.to_state:
            return None
        known = inspect(self._owner).column_attrs
        own_key = self.event.contract.key
        names = [self._key.key if name == own_key and name not in known else name for name in self.fields]
        return [getattr(self._owner, name) for name in names] if all(name in known for name in names) else None
