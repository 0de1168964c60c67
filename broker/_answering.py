"""Answering replicas: the owner sends what it has, a few messages for each request, and holds nothing between two of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic_core import to_json
from sqlalchemy.ext.asyncio import AsyncSession

from broker._ownership import owners_of
from broker._projections import Projection, State
from broker._publishing import publish
from broker._service import Service
from broker._states import state_of
from broker._subscriptions import Subscription
from contracts.backbone import ReplicaRequested, ReplicaStates

LARGEST = 200 * 1024
"""Bytes of the states in one message, at most."""

MOST = 2000
"""States in one message, at most."""

AT_ONCE = 4
"""Messages of the largest size that answer one request. While the replica takes them it asks for the next ones."""


def subscription_to_replicas(service: Service) -> Subscription:
    """The subscription `replicas` of a service that owns states."""
    owned = {state_of(owner).contract.name: Projection(owner) for owner in owners_of(service)}

    async def answer_replica(event: ReplicaRequested, session: AsyncSession) -> None:
        """Sends a replica the states that it asks for, if they are of this service."""
        await _answer(session, service, owned, event)

    return Subscription(name="replicas", events=(ReplicaRequested,), handler=answer_replica, on_failure="pass")


async def _answer(session: AsyncSession, service: Service, owned: Mapping[str, Projection], asked: ReplicaRequested) -> None:
    if asked.type not in {event.contract.name for event in service.events}:
        return
    projection = owned.get(asked.type)
    if projection is None:
        refusal = f"{service.name} publishes {asked.type}, but keeps no objects that it could be made from again"
        publish(session, _message(asked, None, [], refusal=refusal))
        return
    if asked.keys is not None:
        found = {state.key: state for state in await projection.of(session, asked.keys)}
        for keys in _parts_of(asked.keys, found):
            states = [found[key] for key in keys if key in found]
            publish(session, _message(asked, projection, states, keys=keys))
        return
    states = await projection.after(session, asked.after, MOST * AT_ONCE)
    is_all = len(states) < MOST * AT_ONCE
    parts = list(_parts(states)) or [[]]
    if len(parts) > AT_ONCE:
        parts, is_all = parts[:AT_ONCE], False
    after, end = asked.after, parts[-1][-1].key if parts[-1] else None
    for number, part in enumerate(parts, 1):
        upto = None if is_all and number == len(parts) else part[-1].key
        ask_after = end if number == 1 and not is_all else None
        publish(session, _message(asked, projection, part, after=after, upto=upto, ask_after=ask_after))
        after = upto


def _message(asked: ReplicaRequested, projection: Projection | None, states: Sequence[State], **more: Any) -> ReplicaStates:
    said: dict[str, Any] = {"after": None, "upto": None, "keys": None, "ask_after": None, **more}
    return ReplicaStates(
        replica=asked.replica,
        run_id=asked.run_id,
        type=asked.type,
        type_version=projection.event.contract.version if projection is not None else 0,
        fields=projection.fields if projection is not None else [],
        rows=[state.values for state in states],
        **said,
    )


def _parts(states: Sequence[State]) -> Iterator[list[State]]:
    """The states in messages that are not too large."""
    part: list[State] = []
    size = 0
    for state in states:
        own = len(to_json(state.values))
        if part and (size + own > LARGEST or len(part) == MOST):
            yield part
            part, size = [], 0
        part.append(state)
        size += own
    if part:
        yield part


def _parts_of(keys: Sequence[str], found: Mapping[str, State]) -> Iterator[list[str]]:
    """The keys that were asked about, each with those before it whose states fit into one message."""
    part: list[str] = []
    size = 0
    for key in keys:
        own = len(to_json(found[key].values)) if key in found else 0
        if part and size + own > LARGEST:
            yield part
            part, size = [], 0
        part.append(key)
        size += own
    yield part
