"""The base of a service's tables: names of constraints, types of columns, and rows that are locked, held, seen or visible.

    class Base(Tables, DeclarativeBase):
        type_annotation_map = {Decimal: Numeric(14, 2)}

A text has no limit, a time has its zone, a `Literal` is stored as its text, lists and objects are JSONB. What a service wants
otherwise it says in a map of its own, as above, where all decimals are money.
"""

from __future__ import annotations

import typing
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self, TypeVar
from uuid import UUID

from sqlalchemy import DateTime, MetaData, Numeric, Text, event
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine.default import DefaultExecutionContext
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, TypeResolve
from sqlalchemy.types import TypeEngine

from broker.errors import NotFound

if TYPE_CHECKING:
    from sqlalchemy.orm import registry

    from broker._tokens import Principal

NAMES = {
    "pk": "%(table_name)s_pkey",
    "uq": "%(table_name)s_%(column_0_N_name)s_key",
    "ix": "%(table_name)s_%(column_0_N_name)s_idx",
    "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
    "ck": "%(table_name)s_%(constraint_name)s_check",
}
"""As PostgreSQL itself would name them."""

TYPES: dict[Any, Any] = {
    str: Text,
    Decimal: Numeric,
    datetime: DateTime(timezone=True),
    list[str]: JSONB,
    dict[str, Any]: JSONB,
}

Row = TypeVar("Row")


def same_as(column: str) -> Callable[[DefaultExecutionContext], Any]:
    """A column's default: what another column of the same row is given."""

    def of(context: DefaultExecutionContext) -> Any:
        return context.get_current_parameters()[column]  # type: ignore[no-untyped-call]

    return of


class Tables:
    """A mixin for the declarative base of a service: `class Base(Tables, DeclarativeBase)`. Its metadata is its own."""

    if TYPE_CHECKING:
        registry: registry

    def __init_subclass__(cls, **kwargs: Any) -> None:
        if DeclarativeBase in cls.__bases__:
            cls.metadata = MetaData(naming_convention=NAMES)  # type: ignore[attr-defined]
            cls.type_annotation_map = TYPES | vars(cls).get("type_annotation_map", {})  # type: ignore[attr-defined]
        super().__init_subclass__(**kwargs)
        if DeclarativeBase in cls.__bases__:
            event.listen(cls.registry, "resolve_type_annotation", _literal_as_text)

    @classmethod
    async def locked(cls, session: AsyncSession, key: Any, /) -> Self:
        """The row, to change: it is ours until the transaction ends. Raises NotFound."""
        return _found(await session.get(cls, key, with_for_update=True, populate_existing=True))

    @classmethod
    async def held(cls, session: AsyncSession, key: Any, /) -> Self:
        """The row, which nobody changes until the transaction ends; others may hold it too. Raises NotFound."""
        return _found(await session.get(cls, key, with_for_update={"read": True}, populate_existing=True))

    @classmethod
    async def seen(cls, session: AsyncSession, key: Any, /) -> Self:
        """The row, to look at. Raises NotFound."""
        return _found(await session.get(cls, key))


class OfFacility(Protocol):
    """A row that belongs to a facility."""

    @property
    def facility_id(self) -> UUID: ...
    @classmethod
    async def seen(cls, session: AsyncSession, key: Any, /) -> Self: ...


Visible = TypeVar("Visible", bound=OfFacility)


async def visible(session: AsyncSession, who: Principal, kind: type[Visible], key: Any) -> Visible:
    """The row, to look at, if the token may see its facility. Raises NotFound, as for one that is not there."""
    row = await kind.seen(session, key)
    who.at(row.facility_id)
    return row


def _found(row: Row | None) -> Row:
    if row is None:
        raise NotFound
    return row


def _literal_as_text(resolve: TypeResolve) -> TypeEngine[Any] | None:
    return Text() if typing.get_origin(resolve.resolved_type) is Literal else None
