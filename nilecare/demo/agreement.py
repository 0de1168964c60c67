"""Whether each replica says what its owner says: row by row, by id, version and content."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from broker import Service, StateOwner
from broker._copied import own_columns, state_event_of
from broker._database import Database
from broker._replicas import Replica
from broker._states import state_of
from contracts.event import StateEvent


@dataclass(frozen=True, slots=True)
class Agreement:
    """A replica, compared: rows are those that it holds, tombstones left out."""

    rows: int
    missing: int
    surplus: int
    different: int

    @property
    def in_step(self) -> bool:
        """Whether it says what its owner says."""
        return not (self.missing or self.surplus or self.different)


async def agreements(databases: Mapping[Service, Database]) -> dict[str, Agreement]:
    """Every replica of these services whose owner is one of them, by a name such as `billing.patient`."""
    publishers = {service.name: (service, database) for service, database in databases.items()}
    found = {}
    for service, database in databases.items():
        for replica in service.replicated:
            event = state_event_of(replica)
            if event.contract.publisher not in publishers:
                continue
            owner, owners_database = publishers[event.contract.publisher]
            told = await _told(owners_database, owner_of(owner, event), replica)
            name = f"{service.name}.{replica.__tablename__.removesuffix('_reference')}"
            found[name] = _compare(told, await _held(database, replica))
    return found


def owner_of(service: Service, event: type[StateEvent]) -> type[StateOwner]:
    """The mapped class whose objects publish this state. Raises LookupError."""
    for owner in StateOwner.__subclasses__():
        if getattr(owner, "metadata", None) is service.tables and state_of(owner) is event:
            return owner
    raise LookupError(f"no table of {service.name} publishes {event.contract.name}")


async def _told(database: Database, owner: type[StateOwner], replica: type[Replica[Any]]) -> dict[object, dict[str, Any]]:
    """What the replica should hold, by key."""
    key = state_of(owner).contract.key
    async with database.transaction() as session:
        states = [each.to_state() for each in await session.scalars(select(owner))]
    return {getattr(state, key): {"state_version": state.state_version, **replica.kept(state)} for state in states}


async def _held(database: Database, replica: type[Replica[Any]]) -> dict[object, dict[str, Any]]:
    table = replica.__table__
    columns = ("state_version", *own_columns(table))
    async with database.engine.connect() as connection:
        rows = await connection.execute(select(table).where(~table.c.deleted))
        return {row.id: {name: getattr(row, name) for name in columns} for row in rows}


def _compare(told: Mapping[object, Any], held: Mapping[object, Any]) -> Agreement:
    return Agreement(
        rows=len(held),
        missing=len(told.keys() - held.keys()),
        surplus=len(held.keys() - told.keys()),
        different=sum(told[key] != held[key] for key in told.keys() & held.keys()),
    )
