"""Declaring how a service reacts: `@on(PaymentSucceeded)` above a short function."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Literal

from broker.errors import DeclarationError
from contracts.event import Event

Handler = Callable[..., Awaitable[None]]
OnFailure = Literal["hold", "pass"]

DECLARED = "__subscription__"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """One service's named interest in one or more events: one queue, one handler."""

    name: str
    events: tuple[type[Event], ...]
    handler: Handler
    on_failure: OnFailure = "hold"
    formerly: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.events:
            raise DeclarationError(f"subscription {self.name} names no event: give @on at least one")
        if not inspect.iscoroutinefunction(self.handler):
            raise DeclarationError(f"the handler of subscription {self.name} must be an async function")

    def contract(self, type_: str) -> type[Event] | None:
        """The event class that this subscription reads `type_` with; None when it did not ask for that type."""
        return next((event for event in self.events if event.contract.name == type_), None)


def on(
    *events: type[Event], name: str | None = None, on_failure: OnFailure = "hold", formerly: tuple[str, ...] = ()
) -> Callable[[Handler], Handler]:
    """Subscribes an async function to events; `handlers` of the Service names its module.

    The function asks for what it needs by its annotations: the event, an AsyncSession, the Envelope. It runs inside a
    transaction that it neither commits nor rolls back, together with other messages, and may run more than once for one
    message: it keeps no state of its own and calls nobody outside (see `outside`).

    name: the subscription, and the queue `<service>.<name>`; the function's name when not given.
    on_failure: "hold" lays later messages of the same key behind one that failed; "pass" lets them go on.
    formerly: earlier names, so that the inbox and the failed messages follow a rename.
    """

    def declare(handler: Handler) -> Handler:
        subscription = Subscription(
            name=name or handler.__name__, events=events, handler=handler, on_failure=on_failure, formerly=formerly
        )
        setattr(handler, DECLARED, subscription)
        return handler

    return declare


def subscriptions_in(module: ModuleType) -> list[Subscription]:
    """The subscriptions declared in a module, in the order of their appearance."""
    return [
        getattr(value, DECLARED)
        for value in vars(module).values()
        if hasattr(value, DECLARED) and value.__module__ == module.__name__
    ]


def arguments_by_annotation(handler: Handler) -> dict[str, Any]:
    """The handler's parameters and the type that each asks for."""
    hints = typing.get_type_hints(handler)
    return {name: hints.get(name, Any) for name in inspect.signature(handler).parameters}
