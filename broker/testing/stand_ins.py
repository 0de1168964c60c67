"""Stand-ins: services with nothing but the contracts of a publisher that is not there, for a team that owns one side.

A stand-in has an account, a database and a relay of its own: what it says goes over the real outbox and broker and counts in
the flow. It owns the states that it was told to say, and nothing else: their versions are drawn as every owner's are, and
replicas that ask to be filled get them. To begin with that is nothing, so a replica is filled at once, and empty.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from types import ModuleType
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import BigInteger, MetaData, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, mapped_column
from sqlalchemy.types import TypeEngine

from broker._database import Database
from broker._ownership import owners_of
from broker._publishing import BUFFER, publish
from broker._service import Service
from broker._states import StateOwner, publishes_state, state_of, touch
from broker._wakeup import Notifier
from broker.errors import DeclarationError
from contracts.event import EVERY_SERVICE, Event, StateEvent, events_in

E = TypeVar("E", bound=Event)

KEYS: Mapping[Any, TypeEngine[Any]] = {UUID: Uuid(), int: BigInteger()}
"""Columns for a contract's key by its type; text for all others."""


class Told(StateOwner):
    """A state that a stand-in was told to say, as its contract has it."""

    key: Any
    said: Any

    def to_state(self) -> StateEvent:
        """The state, in the version that was drawn for it."""
        event = state_of(type(self))
        return event.model_validate_json(json.dumps({**self.said, "state_version": self.state_version, "deleted": False}))


class StandIn(Service):
    """A service that is not there."""


def stand_ins(services: Sequence[Service]) -> list[StandIn]:
    """A stand-in for each publisher of what these services read and none of them publishes, by name.

    Raises DeclarationError for a publisher whose contracts stand in several modules.
    """
    present = {service.name for service in services}
    modules: dict[str, set[str]] = {}
    for event in _read_by(services):
        publisher = event.contract.publisher
        if publisher not in (*present, EVERY_SERVICE):
            modules.setdefault(publisher, set()).add(event.__module__)
    for publisher, found in modules.items():
        if len(found) > 1:
            raise DeclarationError(f"the contracts of {publisher} stand in {' and '.join(sorted(found))}: put them into one")
    return [stand_in(publisher, sys.modules[module]) for publisher, (module,) in sorted(modules.items())]


@cache
def stand_in(publisher: str, contracts: ModuleType) -> StandIn:
    """The stand-in for one publisher."""
    tables = MetaData()
    base = type("Base", (DeclarativeBase,), {"metadata": tables})
    for event in events_in(contracts):
        if issubclass(event, StateEvent):
            _owner_of(event, base)
    return StandIn(name=publisher, port=0, tables=tables, contracts=contracts, trusts_auth=False)


def stand_in_for(event: type[Event], services: Mapping[str, Service]) -> StandIn:
    """The stand-in that can say an event. Raises TypeError where there is none."""
    contract = event.contract
    service = services.get(contract.publisher)
    if service is None:
        raise TypeError(f"nobody stands in for {contract.publisher}, since no service under test reads what it publishes")
    if not isinstance(service, StandIn):
        raise TypeError(f"{contract.publisher} is under test: have it say {contract.name} itself")
    if event not in service.events:
        raise TypeError(f"{contract.publisher} does not publish {contract.name} v{contract.version}")
    return service


async def tell(database: Database, service: StandIn, event: E, *, is_gone: bool = False) -> tuple[UUID, E]:
    """Has a stand-in say an event, in the flow in hand; gives its id, and it as it was said.

    A state gets the version that follows. is_gone: the aggregate is no more; so it is too where the event says `deleted`.
    """
    async with Database(database.engine, service.name).transaction() as session:
        if isinstance(event, StateEvent):
            await _state(session, service, event, is_gone=is_gone or event.deleted)
        else:
            publish(session, event)
        await session.flush()
        buffered = session.sync_session.info[BUFFER][-1]
    notifier = Notifier(service.name, database.engine)
    notifier.wake()
    await notifier.run_once()
    return buffered.id, buffered.event


async def _state(session: AsyncSession, service: Service, event: StateEvent, *, is_gone: bool) -> None:
    owner: Any = next(owner for owner in owners_of(service) if state_of(owner) is type(event))
    key = getattr(event, event.contract.key)
    kept = await session.get(owner, key) or owner(key=key)
    kept.said = event.model_dump(mode="json")
    session.add(kept)
    touch(kept)  # whoever is told to say the same again says it again
    await session.flush()
    if is_gone:
        await session.delete(kept)


def _owner_of(event: type[StateEvent], base: type[DeclarativeBase]) -> None:
    """The mapped class of the states of a contract."""
    contract = event.contract
    key = KEYS.get(event.model_fields[contract.key].annotation, Text())
    columns = {"key": mapped_column(key, primary_key=True), "said": mapped_column(JSONB(none_as_null=True))}
    name = f"{contract.name}.v{contract.version}"
    publishes_state(event)(type(event.__name__, (Told, base), {"__tablename__": name, **columns}))


def _read_by(services: Iterable[Service]) -> set[type[Event]]:
    return {event for service in services for subscription in service.subscriptions for event in subscription.events}
