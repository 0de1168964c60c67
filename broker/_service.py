"""A service, declared: what it owns, how it reacts, what it keeps copies of. Checked when it is put together."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from sqlalchemy import MetaData

from broker._subscriptions import Subscription, subscriptions_in
from broker.errors import DeclarationError
from contracts.event import EVERY_SERVICE, Event, events_in

if TYPE_CHECKING:
    from fastapi import APIRouter

    from broker._outside import Outside
    from broker._problems import WriteTrouble
    from broker._replicas import Replica


@dataclass(frozen=True, slots=True)
class Retained:
    """Rows that stay when a person is erased: those of a table whose `column` is the person's id, and the law that says so."""

    table: str
    column: str
    because: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Service:
    """Everything the backbone knows about a service. `app.py` of each service holds one, named `service`."""

    name: str
    port: int
    tables: MetaData = field(default_factory=MetaData)
    handlers: ModuleType | None = None
    replicas: ModuleType | None = None
    outside: ModuleType | None = None
    api: APIRouter | None = None
    pages: APIRouter | None = None
    """HTML pages at the root, for people; each says who passes, as a route of the API does."""

    trouble: WriteTrouble | None = None
    """Writes the page that a browser is shown instead of a problem document."""

    contracts: ModuleType | None = None
    secrets: tuple[str, ...] = ()
    """Names in `Settings.outside` without which it does not start."""

    retained: tuple[Retained, ...] = ()
    """What stays of erased persons, under their bare id."""

    trusts_auth: bool = True
    """Whether its API takes tokens of the service `auth`; False on a platform that has none, where the settings' keys count."""

    def __post_init__(self) -> None:
        names: set[str] = set()
        for subscription in self.subscriptions:
            for name in (subscription.name, *subscription.formerly):
                if name in names:
                    raise DeclarationError(f"{self.name} has two subscriptions named {name}: give one of them another name")
                names.add(name)
        for call in self.calls:
            call.check(self.name)
        for kept in self.retained:
            table = self.tables.tables.get(kept.table)
            if table is None or kept.column not in table.c:
                raise DeclarationError(f"{self.name} retains {kept.table}.{kept.column}, which is no column of its tables")

    @cached_property
    def events(self) -> tuple[type[Event], ...]:
        """The events that it publishes: those of `contracts/<name>.py`."""
        module = self.contracts or importlib.import_module(f"contracts.{self.name}")
        return tuple(events_in(module))

    @cached_property
    def replicated(self) -> tuple[type[Replica[Any]], ...]:
        """The replicas that it keeps: those that its API needs to trust a token, and its own."""
        from broker._replicas import replicas_in
        from broker._trust import TRUST

        return (*(TRUST if self.keeps_trust else ()), *(replicas_in(self.replicas) if self.replicas else ()))

    @property
    def keeps_trust(self) -> bool:
        """Whether it keeps auth's keys and revoked sessions."""
        return self.api is not None and self.trusts_auth

    @property
    def is_operated(self) -> bool:
        """Whether it does what people ask for in the service `operations`: as every service of a platform that has auth."""
        return self.keeps_trust

    @property
    def known_events(self) -> tuple[type[Event], ...]:
        """The events that it publishes or reads."""
        return (*self.events, *(event for subscription in self.subscriptions for event in subscription.events))

    @cached_property
    def subscriptions(self) -> tuple[Subscription, ...]:
        """How it reacts: its replicas' subscriptions first, then what it is asked for by people and by replicas of what it
        owns or the backbone tells of it, then those of its handlers, then the erasures of persons of whom it may have personal
        data."""
        from broker._answering import subscription_to_replicas
        from broker._erasure import subscription_to_erasures
        from broker._ownership import owners_of
        from broker._requests import subscription_to_requests

        asked = [subscription_to_requests(self.name)] if self.is_operated else []
        own = subscriptions_in(self.handlers) if self.handlers else []
        answers = [subscription_to_replicas(self)] if self.is_operated or any(owners_of(self)) else []
        reacting = (*(replica.subscription() for replica in self.replicated), *asked, *answers, *own)
        return (*reacting, *subscription_to_erasures(self, reacting))

    @cached_property
    def calls(self) -> tuple[Outside[Any, Any], ...]:
        """The calls that it makes to the world outside."""
        from broker._outside import calls_in

        return tuple(calls_in(self.outside)) if self.outside else ()

    def queue(self, subscription: Subscription) -> str:
        """The subscription's queue."""
        return f"{self.name}.{subscription.name}"

    @cached_property
    def migrations(self) -> Path | None:
        """Its own migrations: the folder `migrations` beside the modules that it is made of; None when there is none."""
        modules = [module for module in (self.handlers, self.replicas, self.outside) if module is not None]
        packages = dict.fromkeys(module.__name__.rpartition(".")[0] for module in modules)
        places = (place for name in packages if name in sys.modules for place in sys.modules[name].__path__)
        folders = (Path(place) / "migrations" for place in places)
        return next((folder for folder in folders if folder.is_dir()), None)

    @property
    def dead_queue(self) -> str:
        """The queue for what the broker itself gives up."""
        return f"{self.name}.dead"

    @property
    def database(self) -> str:
        """The name of its database."""
        return f"nilecare_{self.name}"


def check_platform(services: Iterable[Service]) -> Mapping[str, frozenset[str]]:
    """Which queues subscribe to each event type, over all services.

    Raises DeclarationError for an event that nobody publishes, two publishers of one name, or two services of one name.
    """
    services = list(services)
    names = [service.name for service in services]
    for name in names:
        if names.count(name) > 1:
            raise DeclarationError(f"there are two services named {name}")
    publishers: dict[str, str] = {}
    subscribers: dict[str, set[str]] = {}
    versions: set[tuple[str, int]] = set()
    for service in services:
        for event in service.events:
            name, version = event.contract.name, event.contract.version
            if event.contract.publisher != service.name:
                raise DeclarationError(f"{name} stands in the contracts of {service.name} but names {event.contract.publisher}")
            if publishers.setdefault(name, service.name) != service.name:
                raise DeclarationError(f"{name} is published by both {publishers[name]} and {service.name}")
            if (name, version) in versions:
                raise DeclarationError(f"{name} v{version} stands twice in the contracts of {service.name}")
            versions.add((name, version))
            subscribers[name] = set()
    for service in services:
        for subscription in service.subscriptions:
            for event in subscription.events:
                name = event.contract.name
                if event.contract.is_addressed:
                    continue
                if event.contract.publisher == EVERY_SERVICE:
                    subscribers.setdefault(name, set())
                elif publishers.get(name) != event.contract.publisher:
                    raise DeclarationError(
                        f"{service.queue(subscription)} subscribes to {name}, which no service publishes: "
                        f"add it to contracts/{event.contract.publisher}.py of a service that is part of the platform"
                    )
                subscribers[name].add(service.queue(subscription))
    return {name: frozenset(queues) for name, queues in subscribers.items()}
