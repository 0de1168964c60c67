"""What a replica copies, read off its class: which state, and in which columns."""

from __future__ import annotations

import typing
from functools import cache
from typing import Any

from sqlalchemy import Table

from broker.errors import DeclarationError
from contracts.event import StateEvent

COMMON_COLUMNS = frozenset({"id", "state_version", "deleted", "changed_at", "received_at"})
"""Columns that every replica has."""

TELLER = "service"
"""The field, and the column, that says of which service a state is that every service tells."""


def state_event_of(replica: type[Any]) -> type[StateEvent]:
    """The contract that a replica copies: the parameter of `Replica[...]`. Raises DeclarationError."""
    for base in getattr(replica, "__orig_bases__", ()):
        for argument in typing.get_args(base):
            if isinstance(argument, type) and issubclass(argument, StateEvent):
                return argument
    raise DeclarationError(f"{replica.__name__} does not say what it copies: write Replica[TheChangedEvent]")


def owner_of(replica: type[Any]) -> str:
    """The service that publishes what a replica copies. Raises DeclarationError."""
    return state_event_of(replica).contract.publisher


@cache
def own_columns(table: Table) -> tuple[str, ...]:
    """The columns that hold the contract's data, without those that every replica has."""
    return tuple(column.name for column in table.columns if column.name not in COMMON_COLUMNS)
