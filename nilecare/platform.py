"""Which services the platform has: one per folder of `services` that holds an `app.py`."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
from collections.abc import Iterable
from functools import cache

import services as _services
from broker import Service
from contracts import backbone
from contracts.event import Event, events_in
from nilecare.loading import loading


def services() -> list[Service]:
    """Every service, by name."""
    return list(_load())


@cache
def _load() -> tuple[Service, ...]:
    names = sorted(module.name for module in pkgutil.iter_modules(_services.__path__) if module.ispkg)
    found = [name for name in names if importlib.util.find_spec(f"services.{name}.app")]
    with loading():
        return tuple(importlib.import_module(f"services.{name}.app").service for name in found)


def events(platform: Iterable[Service]) -> list[type[Event]]:
    """What the services publish, each its own; then what every one of them does."""
    platform = list(platform)
    return [*(event for service in platform for event in service.events), *said_by_all(platform)]


def said_by_all(platform: Iterable[Service]) -> list[type[Event]]:
    """What the backbone says on behalf of every service, where people operate them."""
    return events_in(backbone) if any(service.is_operated for service in platform) else []
