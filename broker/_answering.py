"""Answering replicas: the owner sends what it has, a few messages for each request, and holds nothing between two of them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy.ext.asyncio import AsyncSession

from broker._ownership import owners_of
from broker._projections import Extent, Part, Projection, States
from broker._publishing import publish
from broker._states import state_of
from broker._subscriptions import Subscription
from broker._told import TOLD, ToldStates, is_whole
from contracts.backbone import ReplicaRequested, ReplicaStates

if TYPE_CHECKING:
    from broker._service import Service

ANSWERING = "replicas"
"""The subscription that answers."""

LARGEST = 400 * 1024
"""Bytes of the states in one message: it ends with the one that reaches them. As text within JSON they are some more."""

MOST = 32_000
"""States that are read for one request, at most."""

AT_ONCE = 8
"""Messages that answer one request, at most. While the replica takes them in it asks for the next ones."""

FEW = 50
"""States that are read at once where keys were asked about: as many at most are read beyond what an answer holds."""

Found = dict[str, str | None]
"""The states of keys; None where there is none."""


def subscription_to_replicas(service: Service) -> Subscription:
    """The subscription `replicas` of a service: for the states that it owns, and those that the backbone tells of it."""
    owned = {state_of(owner).contract.name: owner for owner in owners_of(service)}
    published = {event.contract.name for event in service.events}

    async def answer_replica(event: ReplicaRequested, session: AsyncSession) -> None:
        """Sends a replica the states that it asks for, if they are of this service."""
        if event.owner == service.name and event.type in TOLD:
            if await is_whole(session):
                await _answer(session, ToldStates(TOLD[event.type]), event)
            else:
                _refuse(session, event, f"{service.name} has not told yet everything that failed: ask again when it has")
        elif event.owner is None and event.type in owned:
            # It needs every mapping, which a start does not.
            await _answer(session, Projection(owned[event.type]), event)
        elif event.owner is None and event.type in published:
            _refuse(
                session, event, f"{service.name} publishes {event.type}, but keeps no objects that it could be made from again"
            )

    return Subscription(name=ANSWERING, events=(ReplicaRequested,), handler=answer_replica, on_failure="pass")


def _refuse(session: AsyncSession, asked: ReplicaRequested, because: str) -> None:
    publish(session, _message(asked, None, 0, "", refusal=because))


async def _answer(session: AsyncSession, projection: States, asked: ReplicaRequested) -> None:
    if asked.keys is not None:
        parts = await _states_of(session, projection, asked.keys, asked.fields)
        for number, found in enumerate(parts, 1):
            states = [state for state in found.values() if state is not None]
            keys, last = list(found), next(reversed(found), None) if number == len(parts) else None
            publish(session, _message(asked, projection, len(states), ",".join(states), keys=keys, ask_after=last))
        return
    following, is_all = await projection.after(session, asked.after, Extent(LARGEST, MOST, AT_ONCE), asked.fields)
    after, end = asked.after, following[-1].last if following else None
    for number, part in enumerate(following or [Part(0, "", "")], 1):
        upto = None if is_all and number >= len(following) else part.last
        ask_after = end if number == 1 and not is_all else None
        publish(session, _message(asked, projection, part.count, part.states, after=after, upto=upto, ask_after=ask_after))
        after = upto


def _message(asked: ReplicaRequested, projection: States | None, count: int, states: str, **more: Any) -> ReplicaStates:
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


async def _states_of(
    session: AsyncSession, projection: States, keys: Sequence[str], wanted: Collection[str] | None
) -> list[Found]:
    """The states of these keys, of the first ones where all would be too much, in the parts that the messages hold."""
    parts: list[Found] = [{}]
    size = 0
    for few in _batched(keys, FEW):
        found = await projection.of(session, few, wanted)
        for key in few:
            own = len(found.get(key, "").encode())
            if parts[-1] and size + own > LARGEST:
                parts.append({})
                size = 0
            parts[-1][key] = found.get(key)
            size += own
        if len(parts) >= AT_ONCE:
            break
    return parts


def _batched(keys: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    """So many keys at a time."""
    return (keys[first : first + size] for first in range(0, len(keys), size))
