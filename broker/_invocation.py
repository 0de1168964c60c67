"""Calling a handler with one event: the same way for a batch, a retry and a replay."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Mapping, Sequence
from types import UnionType
from typing import Any

from fast_depends import inject
from fast_depends.dependencies import Dependant
from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncSession

from broker._context import Cause, caused_by
from broker._envelope import Envelope
from broker._service import Service
from broker._subscriptions import Handler, Subscription, arguments_by_annotation
from broker._tracing import span
from broker.errors import DeclarationError, Newer, Permanent
from contracts.event import Event, NewerVersion


class Invocation:
    """How a subscription's handler is called: by the annotations of its parameters, worked out once.

    Raises DeclarationError for a parameter that is none of: the event, an AsyncSession, the Envelope, a `Depends`.
    """

    def __init__(self, service: Service, subscription: Subscription) -> None:
        self.service = service
        self.subscription = subscription
        self._contracts: Mapping[str, type[Event]] = {event.contract.name: event for event in subscription.events}
        self._call, self._wants = _plan(service, subscription)

    async def invoke(self, session: AsyncSession, envelope: Envelope) -> None:
        """Decodes the message and calls the handler; `decode` and `handle` say what it raises."""
        await self.handle(session, envelope, self.decode(envelope))

    def decode(self, envelope: Envelope) -> Event:
        """The event in the message. Raises Newer, or Permanent, which names fields but no value."""
        contract = self._contracts.get(envelope.type)
        if contract is None:
            raise Newer(f"{self.subscription.name} does not know the event {envelope.type} yet")
        try:
            event = contract.read(envelope.body, envelope.version)
        except NewerVersion as newer:
            raise Newer(str(newer)) from None
        except ValidationError as invalid:
            raise Permanent(f"{envelope.type} v{envelope.version} breaks its contract: {_fields(invalid)}") from None
        except Exception as unreadable:
            raise Permanent(f"{envelope.type} v{envelope.version} cannot be read: {type(unreadable).__name__}") from None
        if event.subject != envelope.subject:
            raise Permanent(f"{envelope.type} is about another {contract.contract.key} than its envelope says")
        return event

    async def handle(self, session: AsyncSession, envelope: Envelope, event: Event) -> None:
        """Calls the handler; what it publishes belongs to the message's flow. Raises whatever the handler raises."""
        given = {Event: event, AsyncSession: session, Envelope: envelope}
        with (
            span(self.service.name, self.subscription.name, envelope.trace) as trace,
            caused_by(Cause(flow=envelope.flow, message=envelope.id, trace=trace)),
        ):
            await self._call(**{name: given[kind] for name, kind in self._wants})


def _plan(service: Service, subscription: Subscription) -> tuple[Handler, list[tuple[str, type]]]:
    handler = subscription.handler
    injected = {name for name, parameter in inspect.signature(handler).parameters.items() if _is_injected(handler, parameter)}
    wants = []
    for name, annotation in arguments_by_annotation(handler).items():
        if name in injected:
            continue
        kind = _kind(annotation, subscription.events)
        if kind is None:
            raise DeclarationError(
                f"the handler of {service.queue(subscription)} asks for {name}, which is neither one of its events, "
                "an AsyncSession, the Envelope nor a Depends"
            )
        wants.append((name, kind))
    return (inject(handler, cast=False) if injected else handler), wants


def _is_injected(handler: Handler, parameter: inspect.Parameter) -> bool:
    annotation = typing.get_type_hints(handler, include_extras=True).get(parameter.name)
    marks = (parameter.default, *getattr(annotation, "__metadata__", ()))
    return any(isinstance(mark, Dependant) for mark in marks)


def _kind(annotation: Any, events: Sequence[type[Event]]) -> type | None:
    options = typing.get_args(annotation) if typing.get_origin(annotation) in (typing.Union, UnionType) else (annotation,)
    if not all(isinstance(option, type) for option in options):
        return None
    if all(issubclass(event, options) for event in events):
        return Event
    return next((kind for kind in (AsyncSession, Envelope) if all(issubclass(option, kind) for option in options)), None)


def _fields(invalid: ValidationError) -> str:
    # Only the field's own name: deeper places can be keys of a mapping, and so data.
    errors = invalid.errors(include_input=False, include_url=False, include_context=False)
    return ", ".join(dict.fromkeys(f"{error['loc'][0] if error['loc'] else 'body'} ({error['type']})" for error in errors))
