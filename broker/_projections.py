"""What an owner has: the states of its objects, in the order of their keys, as one statement sees them.

It is the projection that its events are made by (`to_state`). Where each field is a column, the columns are read without
making objects of them.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from math import ceil
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Boolean,
    ColumnElement,
    Date,
    DateTime,
    Integer,
    Numeric,
    Select,
    String,
    Text,
    Uuid,
    cast,
    collate,
    func,
    inspect,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session, selectinload

from broker._states import StateOwner, state_of
from contracts.event import StateEvent

Key = UUID | str | int

PLAIN = (Uuid, String, Integer, Boolean, Date, DateTime, Numeric, JSONB)
"""Types of columns that PostgreSQL writes as JSON, and reads from it, as contracts do."""

SAMPLE = 250
"""States that are read first, to see how large they are: of large ones no more are read then than go into an answer."""


@dataclass(frozen=True, slots=True)
class Part:
    """States of consecutive keys: how many, the last key, and each one's fields as a JSON list, with commas between them."""

    count: int
    last: str
    states: str


@dataclass(frozen=True, slots=True)
class Extent:
    """How much is read at once: bytes of a part, states of all parts, and parts, at most."""

    largest: int
    most: int
    parts: int


def by_key(column: Any) -> ColumnElement[Any]:
    """A key column in the order that owner and replica share: text by its bytes, whatever their databases' collations are."""
    key: ColumnElement[Any] = collate(column, "C") if isinstance(column.type, String) else column
    return key


def key_of(column: Any, key: str) -> Key:
    """A key that a message gives as text, as the column holds it. Raises ValueError."""
    return column.type.python_type(key)  # type: ignore[no-any-return]


class States:
    """Reads the states of one contract that PostgreSQL writes.

    key: the column of their keys. columns: what gives each field. among: which rows are such states.
    """

    def __init__(
        self, event: type[StateEvent], key: Any, columns: Mapping[str, Any], *, among: ColumnElement[bool] | None = None
    ) -> None:
        self.event = event
        self._fields = [name for name in event.model_fields if name != "deleted"]
        self._key, self._columns = key, columns
        self._among = true() if among is None else among

    def named(self, wanted: Collection[str] | None) -> list[str]:
        """The fields of the states that are wanted, as far as there are such, in the contract's order; all for None."""
        return [name for name in self._fields if wanted is None or name in wanted]

    async def after(
        self, session: AsyncSession, key: str | None, extent: Extent, wanted: Collection[str] | None
    ) -> tuple[list[Part], bool]:
        """The next parts above a key, or the first ones where none is given; and whether they are all that there is."""
        condition = self._among if key is None else self._among & (by_key(self._key) > key_of(self._key, key))
        limit = min(SAMPLE, extent.most)
        parts = await self._parts_at(session, condition, limit, extent, wanted)
        count, size = sum(part.count for part in parts), sum(len(part.states) for part in parts)
        if count == limit < extent.most and len(parts) <= extent.parts:
            limit = min(extent.most, ceil(count * extent.largest * extent.parts / size))
            parts = await self._parts_at(session, condition, limit, extent, wanted)
        kept = parts[: extent.parts]
        return kept, len(kept) == len(parts) and sum(part.count for part in kept) < limit

    async def of(self, session: AsyncSession, keys: Collection[str], wanted: Collection[str] | None) -> dict[str, str]:
        """The states of these keys, each a JSON list, as far as there are objects."""
        condition = self._among & self._key.in_([key_of(self._key, key) for key in keys])
        return await self._states_at(session, condition, len(keys), wanted)

    async def _states_at(
        self, session: AsyncSession, condition: ColumnElement[bool], limit: int, wanted: Collection[str] | None
    ) -> dict[str, str]:
        """The states of rows, of which there are so many at most."""
        rows = await session.execute(select(cast(self._key, Text), self._list(wanted)).where(condition))
        return {row[0]: row[1] for row in rows}

    async def _parts_at(
        self,
        session: AsyncSession,
        condition: ColumnElement[bool],
        limit: int,
        extent: Extent,
        wanted: Collection[str] | None,
    ) -> list[Part]:
        """So many states in parts; where there are more parts than the extent has, the first one beyond it is the last.

        PostgreSQL writes them: no state comes here by itself; the key's index has them in order.
        """
        order, state = by_key(self._key), self._list(wanted)
        said = select(order.label("ordered"), state.label("said")).where(condition).order_by(order).limit(limit).subquery()
        size = func.octet_length(said.c.said)
        before = func.sum(size).over(order_by=said.c.ordered, rows=(None, 0)) - size
        placed = select(said.c.ordered, said.c.said, (before // extent.largest).label("part")).subquery()
        parts = (
            select(func.count(), cast(func.max(_with_a_greatest(placed.c.ordered)), Text), func.string_agg(placed.c.said, ","))
            .group_by(placed.c.part)
            .order_by(placed.c.part)
            .limit(extent.parts + 1)
        )
        return [Part(*row) for row in await session.execute(parts)]

    def _list(self, wanted: Collection[str] | None) -> Any:
        """A state as PostgreSQL writes it."""
        return cast(func.json_build_array(*(_exact(self._columns[name]) for name in self.named(wanted))), Text)


class Projection(States):
    """Reads the states of one class of objects: from its columns, or where a field is none, from its objects."""

    def __init__(self, owner: type[StateOwner]) -> None:
        mapper = inspect(owner)
        self._owner = owner
        key = getattr(owner, mapper.get_property_by_column(mapper.primary_key[0]).key)
        columns = _plain_columns(owner, key)
        self._is_plain = columns is not None
        super().__init__(state_of(owner), key, columns or {})

    async def _states_at(
        self, session: AsyncSession, condition: ColumnElement[bool], limit: int, wanted: Collection[str] | None
    ) -> dict[str, str]:
        if self._is_plain:
            return await super()._states_at(session, condition, limit, wanted)
        return dict(await self._objects_at(session, condition, limit, wanted))

    async def _parts_at(
        self,
        session: AsyncSession,
        condition: ColumnElement[bool],
        limit: int,
        extent: Extent,
        wanted: Collection[str] | None,
    ) -> list[Part]:
        if self._is_plain:
            return await super()._parts_at(session, condition, limit, extent, wanted)
        found = await self._objects_at(session, condition, limit, wanted)
        return list(islice(_parts(found, extent.largest), extent.parts + 1))

    async def _objects_at(
        self, session: AsyncSession, condition: ColumnElement[bool], limit: int, wanted: Collection[str] | None
    ) -> list[tuple[str, str]]:
        query = select(self._owner).where(condition).order_by(by_key(self._key)).limit(limit)
        return await session.run_sync(self._objects, query, self.named(wanted))

    def _objects(self, session: Session, query: Select[Any], fields: Sequence[str]) -> list[tuple[str, str]]:
        """Loads objects with what belongs to them; a state may look into that."""
        found = session.scalars(query.options(selectinload("*")), execution_options={"populate_existing": True}).all()
        states = [each.to_state() for each in found]
        for each in found:
            session.expunge(each)
        return [(state.subject, _written(state, fields)) for state in states]


def _plain_columns(owner: type[StateOwner], key: Any) -> dict[str, Any] | None:
    """A column for each field; None where one has none that is plain, or the class makes its states itself."""
    if owner.to_state is not StateOwner.to_state:
        return None
    known, event = inspect(owner).column_attrs, state_of(owner)
    fields = [name for name in event.model_fields if name != "deleted"]
    names = {name: key.key if name == event.contract.key and name not in known else name for name in fields}
    if not all(name in known and isinstance(known[name].columns[0].type, PLAIN) for name in names.values()):
        return None
    return {field: getattr(owner, name) for field, name in names.items()}


def _with_a_greatest(key: ColumnElement[Any]) -> ColumnElement[Any]:
    """A key in a form of which PostgreSQL knows the greatest: of UUIDs it knows none, and their text has their order."""
    return collate(cast(key, Text), "C") if isinstance(key.type, Uuid) else key


def _exact(column: Any) -> Any:
    """A column as it is to be written: a number in text, so that no reader makes a float of it."""
    return cast(column, Text) if isinstance(column.type, Numeric) else column


def _written(state: StateEvent, fields: Sequence[str]) -> str:
    said = state.model_dump(mode="json")
    return json.dumps([said[name] for name in fields], separators=(",", ":"), ensure_ascii=False)


def _parts(states: Sequence[tuple[str, str]], largest: int) -> Iterator[Part]:
    """States in parts that are not too large."""
    part: list[str] = []
    size = 0
    for place, (_, said) in enumerate(states):
        if part and size + len(said.encode()) > largest:
            yield Part(len(part), states[place - 1][0], ",".join(part))
            part, size = [], 0
        part.append(said)
        size += len(said.encode())
    if part:
        yield Part(len(part), states[-1][0], ",".join(part))
