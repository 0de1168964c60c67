"""One flow, put together from what each service says of it: what happened in order, and what is still open."""

from __future__ import annotations

import pkgutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from importlib import import_module
from typing import Any

import contracts

Told = Mapping[str, Any]
"""What a service answers to `trace`."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What became of an event in one subscription.

    state: handled, open (on its way), that of the failed message `handle`, or not known, where its service is silent.
    """

    service: str
    subscription: str
    state: str
    after: timedelta | None = None
    handle: str | None = None


@dataclass(frozen=True, slots=True)
class Said:
    """An event of the flow, and who heard it."""

    at: datetime
    service: str
    type: str
    key: str
    heard: list[Heard] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Waiting:
    """What the flow waits for: a time, or an answer from outside."""

    service: str
    what: str
    about: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Failed:
    """A failed message of the flow, where no journal has the event itself."""

    handle: str
    subscription: str
    state: str
    type: str
    key: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Flow:
    """A whole flow. `silent`: services that did not answer, so that something of theirs may be absent."""

    said: list[Said]
    waiting: list[Waiting]
    failed: list[Failed]
    silent: list[str]

    @property
    def is_over(self) -> bool:
        """Whether nothing of it is open, as far as is known."""
        is_open = any(heard.state != "handled" for said in self.said for heard in said.heard)
        return not (is_open or self.waiting or self.failed or self.silent)

    @property
    def services(self) -> list[str]:
        """Those that take part, in the order of their first appearance."""
        names = (name for said in self.said for name in (said.service, *(heard.service for heard in said.heard)))
        return list(dict.fromkeys(names))


def publishers() -> list[str]:
    """Every service that has contracts: whom to ask."""
    names = [module.name for module in pkgutil.iter_modules(contracts.__path__) if not module.ispkg]
    return [name for name in names if _publishes(name)]


def put_together(told: Mapping[str, Told], silent: Iterable[str]) -> Flow:
    """The flow, from what each service knows of it."""
    handled = {
        (row["id"], service, row["subscription"]): datetime.fromisoformat(row["handled_at"])
        for service, said in told.items()
        for row in said.get("handled", ())
    }
    failed = {
        (row["id"], service, row["subscription"]): (row["state"], f"{service}/{row['position']}")
        for service, said in told.items()
        for row in said.get("failed", ())
    }
    events = []
    for service, said in told.items():
        for row in said.get("published", ()):
            at = datetime.fromisoformat(row["occurred_at"])
            heard = [_heard(row["id"], queue, at, told, handled, failed) for queue in sorted(row["subscriptions"])]
            events.append(Said(at, service, row["type"], row["key"], heard))
    return Flow(sorted(events, key=lambda each: each.at), list(_waiting(told)), list(_unsaid(told)), sorted(silent))


def _heard(
    id_: str,
    queue: str,
    at: datetime,
    told: Mapping[str, Told],
    handled: Mapping[tuple[str, str, str], datetime],
    failed: Mapping[tuple[str, str, str], tuple[str, str]],
) -> Heard:
    service, _, subscription = queue.partition(".")
    place = (id_, service, subscription)
    if place in handled:
        return Heard(service, subscription, "handled", after=max(handled[place] - at, timedelta()))
    state, handle = failed.get(place, ("open" if service in told else "not known", None))
    return Heard(service, subscription, state, handle=handle)


def _waiting(told: Mapping[str, Told]) -> Iterable[Waiting]:
    for service, said in told.items():
        for row in said.get("scheduled", ()):
            yield Waiting(service, row["type"], row["key"], datetime.fromisoformat(row["due_at"]))
        for row in said.get("called", ()):
            if row["state"] not in ("answered", "given_up"):
                what = f"call {row['name']} ({row['state']})"
                yield Waiting(service, what, row["key"], datetime.fromisoformat(row["due_at"]))


def _unsaid(told: Mapping[str, Told]) -> Iterable[Failed]:
    """What failed of events that nobody says they published: their journal is off, or they came from elsewhere."""
    known = {row["id"] for said in told.values() for row in said.get("published", ())}
    for service, said in told.items():
        for row in said.get("failed", ()):
            if row["id"] not in known:
                at = datetime.fromisoformat(row["last_failed_at"])
                yield Failed(f"{service}/{row['position']}", row["subscription"], row["state"], row["type"], row["key"], at)


def _publishes(name: str) -> bool:
    """Whether the module is a service's, and not the base, or what the backbone says for all."""
    module = import_module(f"contracts.{name}")
    contracts_in = (getattr(each, "contract", None) for each in vars(module).values() if isinstance(each, type))
    return any(contract is not None and contract.publisher == name for contract in contracts_in)
