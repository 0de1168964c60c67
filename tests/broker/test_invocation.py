"""A handler is called by its annotations, with what its message holds."""

from __future__ import annotations

import json
from types import ModuleType
from typing import Annotated, Any

import pytest
from fast_depends import Depends
from sqlalchemy.ext.asyncio import AsyncSession

from broker._context import current_cause
from broker._envelope import Envelope
from broker._invocation import Invocation
from broker._service import Service
from broker._subscriptions import Handler, on
from broker.errors import DeclarationError, Newer, Permanent
from contracts.event import Event, upcaster
from tests.broker.consuming import Happened, Written, envelope_of

SESSION = AsyncSession()
HAPPENED = Happened(thing="thing", number=1)
calls: list[Any] = []


class Moved(Event, name="thing.moved", version=2, key="thing", publisher="lab"):
    """Once it had no place to move to."""

    thing: str
    place: str

    @staticmethod
    @upcaster(since=1)
    def has_no_place(data: dict[str, Any]) -> dict[str, Any]:
        """Version 1."""
        return {**data, "place": "unknown"}


def invocation_of(handler: Handler, *events: type[Event]) -> Invocation:
    module = ModuleType("handlers")
    handler.__module__ = module.__name__
    module.handler = on(*(events or (Happened,)), name="handle")(handler)  # type: ignore[attr-defined]
    service = Service(name="ledger", port=0, handlers=module, contracts=ModuleType("contracts"))
    return Invocation(service, service.subscriptions[0])


async def by_annotation(envelope: Envelope, session: AsyncSession, event: Happened | Moved) -> None:
    calls.append((event, session, envelope, current_cause()))


def doubled(event: Happened) -> int:
    return event.number * 2


async def with_dependency(event: Happened, number: Annotated[int, Depends(doubled)]) -> None:
    calls.append((event, number))


async def asks_too_much(event: Happened, weather: str) -> None: ...


async def asks_for_another_event(event: Written) -> None: ...


async def nothing(event: Happened) -> None: ...


async def test_calls_by_annotation() -> None:
    """Whatever their order, parameters get event, session and envelope; the cause is the message's."""
    envelope = envelope_of(HAPPENED, trace="00-1-2-01")
    await invocation_of(by_annotation, Happened, Moved).invoke(SESSION, envelope)
    event, session, given, cause = calls.pop()
    assert (event, session, given) == (HAPPENED, SESSION, envelope)
    assert (cause.flow, cause.message) == (envelope.flow, envelope.id)


async def test_resolves_dependencies() -> None:
    """A parameter may be a FastStream dependency, which may ask for the handler's own parameters by name."""
    await invocation_of(with_dependency).invoke(SESSION, envelope_of(HAPPENED))
    assert calls.pop() == (HAPPENED, 2)


@pytest.mark.parametrize(("handler", "named"), [(asks_too_much, "weather"), (asks_for_another_event, "event")])
def test_refuses_what_it_cannot_give(handler: Handler, named: str) -> None:
    """A handler that asks for something unknown, or for an event it does not subscribe to, is refused at the start."""
    with pytest.raises(DeclarationError, match=named):
        invocation_of(handler)


def test_reads_older_versions() -> None:
    """A message of an older version is brought up to the version that this code knows."""
    body = json.dumps({"thing": "thing"}).encode()
    envelope = envelope_of(Moved(thing="thing", place="x"), version=1, body=body)
    assert invocation_of(by_annotation, Moved).decode(envelope) == Moved(thing="thing", place="unknown")


@pytest.mark.parametrize(
    ("changed", "error", "reason"),
    [
        ({"version": 3}, Newer, "newer"),
        ({"type": "thing.vanished"}, Newer, "does not know"),
        ({"body": b'{"thing": "thing", "number": "Mrs Smith"}'}, Permanent, r"number \(int_parsing\)"),
        ({"body": b"[]"}, Permanent, "body"),
        ({"version": 1}, Permanent, "cannot be read"),
        ({"subject": "another"}, Permanent, "about another thing"),
    ],
)
def test_says_what_is_wrong_without_values(changed: dict[str, Any], error: type[Exception], reason: str) -> None:
    """What cannot be read is refused with the field and the rule, and with no value of the message."""
    with pytest.raises(error, match=reason) as refused:
        invocation_of(nothing).decode(envelope_of(HAPPENED, **changed))
    assert "Smith" not in str(refused.value)
    assert refused.value.__cause__ is None
