"""States that a database takes in as they stand in an answer: where each column is a field, nothing is made of them here."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import DateTime, FromClause, Table, Text, bindparam, cast, column, func, literal, select
from sqlalchemy.dialects.postgresql import JSONB

from broker._copied import own_columns, state_event_of
from broker._projections import PLAIN

if TYPE_CHECKING:
    from broker._replicas import Replica


def plain_fields(replica: type[Replica[Any]]) -> list[str] | None:
    """The contract's fields that rows of a replica are made of; None where a column is more than a field."""
    columns, event = replica.__table__.c, state_event_of(replica)
    own = own_columns(replica.__table__)
    if "kept" in vars(replica) or not all(isinstance(columns[name].type, PLAIN) for name in own):
        return None
    return [event.contract.key, "state_version", *(name for name in own if name != event.contract.key)]


@cache
def poured_rows(table: Table, key: str, fields: tuple[str, ...]) -> FromClause:
    """The rows in `:rows`, as a table `new` in a statement. `:changed_at`, `:received_at`: when they were said, and came.

    key: the contract's field that is the replica's id. fields: those of the states, in their order.
    """
    said = func.jsonb_array_elements(cast(bindparam("rows", type_=Text), JSONB)).table_valued(
        column("value", JSONB), name="said"
    )
    known = {"id": key, **{name: name for name in ("state_version", *own_columns(table))}}
    values = [
        _value(said.c.value, fields.index(field), table.c[name]).label(name) for name, field in known.items()
    ]  # fmt: skip
    return (
        select(
            *values,
            literal(False).label("deleted"),
            *(bindparam(name, type_=DateTime(timezone=True)).label(name) for name in ("changed_at", "received_at")),
        )
        .select_from(said)
        .subquery("new")
    )


def _value(row: Any, place: int, into: Any) -> Any:
    """One value of a row, as its column holds it."""
    if isinstance(into.type, JSONB):
        value = row.op("->", return_type=JSONB)(place)
        return func.nullif(value, cast("null", JSONB)) if into.nullable else value
    return cast(row.op("->>", return_type=Text)(place), into.type)
