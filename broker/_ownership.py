"""What a service would publish, found in its source before it runs: another service's event is refused at the start.

`publish` itself refuses too, but only when the line is reached; this finds the line while somebody is looking.
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterator
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING

from broker._states import StateOwner, state_of
from broker.errors import DeclarationError
from contracts.event import Event

if TYPE_CHECKING:
    from broker._service import Service

PUBLISHING = frozenset({"publish", "schedule"})
"""The functions of the door that take an event as their second argument."""


def check_ownership(service: Service) -> None:
    """Raises DeclarationError, with the place, when the service's code publishes an event that it does not own."""
    for module in _modules(service):
        for event, line in _published_in(module):
            if not event.contract.belongs_to(service.name):
                raise DeclarationError(
                    f"{service.name} publishes {event.contract.name} in {module.__name__}, line {line}, but that event "
                    f"belongs to {event.contract.publisher}: say it with an event of contracts/{service.name}.py"
                )
    for owner in owners_of(service):
        event = state_of(owner)
        if event.contract.publisher != service.name:
            raise DeclarationError(
                f"{owner.__name__} of {service.name} publishes its state as {event.contract.name}, but that event belongs to "
                f"{event.contract.publisher}: publish an event of contracts/{service.name}.py"
            )


def owners_of(service: Service) -> Iterator[type[StateOwner]]:
    """The mapped classes of the service that publish their state."""
    waiting = list(StateOwner.__subclasses__())
    while waiting:
        owner = waiting.pop()
        waiting += owner.__subclasses__()
        table = getattr(owner, "__table__", None)
        if table is not None and table.metadata is service.tables:
            yield owner


def _modules(service: Service) -> Iterator[ModuleType]:
    """The modules of the service's own packages that are imported."""
    packages = {
        module.__name__.rpartition(".")[0] or module.__name__
        for module in (service.handlers, service.replicas, service.outside)
        if module is not None
    }
    for name, module in sorted(sys.modules.items()):
        if module is not None and any(name == package or name.startswith(f"{package}.") for package in packages):
            yield module


@cache
def _published_in(module: ModuleType) -> tuple[tuple[type[Event], int], ...]:
    """The events that calls of `publish` and `schedule` in a module name, with their lines."""
    try:
        source = inspect.getsource(module)
    except (OSError, TypeError):
        return ()
    return tuple(_published(module, source)) if any(name in source for name in PUBLISHING) else ()


def _published(module: ModuleType, source: str) -> Iterator[tuple[type[Event], int]]:
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or node.func.id not in PUBLISHING:
            continue
        for name in _names(node.args[1]) if len(node.args) > 1 else ():
            value = getattr(module, name, None)
            if isinstance(value, type) and issubclass(value, Event) and hasattr(value, "contract"):
                yield value, node.lineno


def _names(argument: ast.expr) -> Iterator[str]:
    """The classes that an argument may be made from: `X(...)` and `X.of(...)`."""
    for node in ast.walk(argument):
        if isinstance(node, ast.Call):
            made = node.func.value if isinstance(node.func, ast.Attribute) else node.func
            if isinstance(made, ast.Name):
                yield made.id
