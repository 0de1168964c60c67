"""Answering replicas: the owner sends what it has, a few messages for each request, and holds nothing between two of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy.ext.asyncio import AsyncSession

from broker._ownership import owners_of
from broker._projections import Extent, Part, Projection
from broker._publishing import publish
from broker._states import state_of
from broker._subscriptions import Subscription
from contracts.backbone import ReplicaRequested, ReplicaStates

if TYPE_CHECKING:
    from broker._service import Service

LARGEST = 400 * 1024
"""Bytes of the states in one message: it ends with the one that reaches them. As text within JSON they are some more."""

MOST = 32_000
"""States that are read for one request, at most."""

AT_ONCE = 8
"""Messages that answer one request, at most. While the replica takes them in it asks for the next ones."""


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
        publish(session, _message(asked, None, 0, "", refusal=refusal))
        return
    if asked.keys is not None:
        found = await projection.of(session, asked.keys, asked.fields)
        for keys in _parts_of(asked.keys, found):
            states = [found[key] for key in keys if key in found]
            last = keys[-1] if keys and keys[-1] == asked.keys[-1] else None
            publish(session, _message(asked, projection, len(states), ",".join(states), keys=keys, ask_after=last))
        return
    parts, is_all = await projection.after(session, asked.after, Extent(LARGEST, MOST, AT_ONCE), asked.fields)
    after, end = asked.after, parts[-1].last if parts else None
    for number, part in enumerate(parts or [Part(0, "", "")], 1):
        upto = None if is_all and number >= len(parts) else part.last
        ask_after = end if number == 1 and not is_all else None
        publish(session, _message(asked, projection, part.count, part.states, after=after, upto=upto, ask_after=ask_after))
        after = upto


def _message(asked: ReplicaRequested, projection: Projection | None, count: int, states: str, **more: Any) -> ReplicaStates:
    said: dict[str, Any] = {"after": None, "upto": None, "keys": None, "ask_after": None, **more}
    return ReplicaStates(
        replica=asked.replica,
        run_id=asked.run_id,
        type=asked.type,
        type_version=projection.event.contract.version if projection is not None else 0,
        fields=projection.named(asked.fields) if projection is not None else [],
        count=count,
        rows=f"[{states}]",
        **said,
    )


def _parts_of(keys: Sequence[str], found: Mapping[str, str]) -> Iterator[list[str]]:
    """The keys that were asked about, each with those before it whose states fit into one message."""
    part: list[str] = []
    size = 0
    for key in keys:
        own = len(found.get(key, "").encode())
        if part and size + own > LARGEST:
            yield part
            part, size = [], 0
        part.append(key)
        size += own
    yield part
