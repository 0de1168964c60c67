"""Two services as small as they can be, for tests of what is derived from declarations."""

from __future__ import annotations

import types
from collections.abc import Iterable
from uuid import UUID

from broker import Service, on
from broker._subscriptions import DECLARED, Handler, Subscription
from contracts.event import Event


class ResultAvailable(Event, name="lab.result.available", version=1, key="result_id", publisher="lab"):
    """What the small lab publishes."""

    result_id: UUID


class InvoicePaid(Event, name="invoice.paid", version=1, key="invoice_id", publisher="billing"):
    """What the small billing publishes."""

    invoice_id: UUID


async def charge(event: ResultAvailable) -> None:
    """Billing's reaction to the lab."""


async def release(event: InvoicePaid) -> None:
    """The lab's reaction to billing."""


def subscription(
    handler: Handler, *events: type[Event], name: str | None = None, formerly: tuple[str, ...] = ()
) -> Subscription:
    """A subscription of `handler`, as `@on` would declare it."""

    async def declared(event: Event) -> None:
        await handler(event)

    declared.__name__ = handler.__name__
    made: Subscription = getattr(on(*events, name=name, formerly=formerly)(declared), DECLARED)
    return made


def service(name: str, *, events: Iterable[type[Event]] = (), subscriptions: Iterable[Subscription] = ()) -> Service:
    """A service that publishes `events` and has `subscriptions`."""
    contracts = types.ModuleType(f"contracts_of_{name}")
    for event in events:
        copy = type(event.__name__, (event,), {"__module__": contracts.__name__, "contract": event.contract})
        setattr(contracts, event.__name__, copy)
    handlers = types.ModuleType(f"handlers_of_{name}")
    for each in subscriptions:
        each.handler.__module__ = handlers.__name__
        setattr(handlers, each.name, each.handler)
    return Service(name=name, port=0, contracts=contracts, handlers=handlers)


def lab(*subscriptions: Subscription) -> Service:
    """The small lab."""
    return service("lab", events=[ResultAvailable], subscriptions=subscriptions or [subscription(release, InvoicePaid)])


def billing(*subscriptions: Subscription) -> Service:
    """The small billing."""
    return service("billing", events=[InvoicePaid], subscriptions=subscriptions or [subscription(charge, ResultAvailable)])
