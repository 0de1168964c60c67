"""Pages by key: a page begins after the last row of the one before, so rows that come and go in between shift nothing."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeVar

from fastapi import Depends, Query
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, TypeAdapter
from pydantic_core import to_jsonable_python
from sqlalchemy import ColumnElement, Select, UnaryExpression, and_, literal, or_, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql import operators

LARGEST = 200
DEFAULT = 50

T = TypeVar("T")


class Page(BaseModel, Generic[T]):
    """One page of a list; `next` is the `cursor` of the page after it, null on the last."""

    items: list[T]
    next: str | None


@dataclass(frozen=True, slots=True)
class Paging:
    """Which page is asked for."""

    limit: int = DEFAULT
    cursor: str | None = None

    async def read(
        self, session: AsyncSession, query: Select[Any], *, by: Sequence[Any], view: Callable[[Any], T] = lambda row: row
    ) -> Page[T]:
        """The page of `query`, whose first entity or column goes through `view`.

        by: what the list is ordered by: columns without nulls (`.desc()` allowed), together unique. They stand in the cursor
        and so in addresses and access logs: nothing personal among them.
        Raises a 422 problem for a cursor that is not one of this list.
        """
        order = [_Ordered.of(column) for column in by]
        asked = query.add_columns(*(part.column for part in order)).order_by(*by).limit(self.limit + 1)
        if self.cursor is not None:
            asked = asked.where(_after(order, _decode(self.cursor, order)))
        rows = (await session.execute(asked)).all()
        shown = rows[: self.limit]
        last = shown[-1][-len(order) :] if len(rows) > self.limit else None
        return Page(items=[view(row[0]) for row in shown], next=_encode(last) if last is not None else None)


def _page_request(
    limit: Annotated[int, Query(ge=1, le=LARGEST, description="Items on the page, at most.")] = DEFAULT,
    cursor: Annotated[str | None, Query(max_length=1000, description="`next` of the page before.")] = None,
) -> Paging:
    return Paging(limit, cursor)


PageRequest = Annotated[Paging, Depends(_page_request)]
"""The page that the caller asks for: `page: PageRequest`, then `return await page.read(session, query, by=[…])`."""


@dataclass(frozen=True, slots=True)
class _Ordered:
    """A column that a list is ordered by, and which way."""

    column: ColumnElement[Any]
    descending: bool

    @classmethod
    def of(cls, by: Any) -> _Ordered:
        if isinstance(by, UnaryExpression) and by.modifier in {operators.desc_op, operators.asc_op}:
            return cls(by.element, by.modifier is operators.desc_op)
        return cls(by, descending=False)

    def beyond(self, value: Any) -> ColumnElement[bool]:
        bound = literal(value, self.column.type)
        return self.column < bound if self.descending else self.column > bound

    def same(self, value: Any) -> ColumnElement[bool]:
        return self.column == literal(value, self.column.type)


def _after(order: Sequence[_Ordered], values: Sequence[Any]) -> ColumnElement[bool]:
    """Behind `values` in the list's order: beyond in one column, the same in all before it."""
    parts = list(zip(order, values, strict=True))
    if len({part.descending for part in order}) == 1:
        columns = tuple_(*(part.column for part in order))
        bounds = tuple_(*(literal(value, part.column.type) for part, value in parts))
        return columns < bounds if order[0].descending else columns > bounds
    return or_(
        *(
            and_(*(earlier.same(known) for earlier, known in parts[:index]), part.beyond(value))
            for index, (part, value) in enumerate(parts)
        )
    )


def _encode(values: Sequence[Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(to_jsonable_python(list(values))).encode()).decode().rstrip("=")


def _decode(cursor: str, order: Sequence[_Ordered]) -> list[Any]:
    try:
        values = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if not isinstance(values, list) or len(values) != len(order):
            raise ValueError("not a cursor of this list")
        return [
            TypeAdapter(part.column.type.python_type).validate_json(json.dumps(value))
            for part, value in zip(order, values, strict=True)
        ]
    except (ValueError, RecursionError) as malformed:
        raise RequestValidationError([{"type": "cursor", "loc": ("query", "cursor"), "msg": "not a cursor"}]) from malformed
