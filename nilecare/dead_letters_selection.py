"""Which failed messages a command means: the options of `nilecare dead-letters`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import wraps
from typing import Any
from uuid import UUID

import click

from broker import DeclarationError, Service
from broker._dead_letters import Filter
from nilecare import addresses
from nilecare.platform import services

Command = Callable[..., Any]

STATES = ("retrying", "waiting", "held", "dead")


class Refused(click.ClickException):
    """What was asked cannot be done; one line says why."""

    exit_code = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The messages that the options ask for."""

    service: str | None
    filter: Filter
    handles: tuple[tuple[str, int], ...]

    @property
    def is_explicit(self) -> bool:
        """Whether each message was named."""
        return bool(self.handles or self.filter.ids)

    def services(self) -> list[Service]:
        """The services to ask. Raises Refused for one that does not exist, or where the environment knows only one."""
        known = {service.name: service for service in declared()}
        named = {self.service} if self.service else {name for name, _ in self.handles}
        for name in sorted(named - known.keys()):
            raise Refused(f"there is no service {name}: it is one of {', '.join(known)}")
        if not addresses.known().get("NILECARE_SECRET") and len(named) != 1:
            raise Refused("say --service: without NILECARE_SECRET the addresses in the environment are those of one service")
        return [
            service for name, service in known.items() if name in named or not named or (self.filter.ids and not self.service)
        ]

    def in_service(self, name: str) -> Filter | None:
        """What is asked of one service; None for nothing."""
        positions = tuple(position for service, position in self.handles if service == name)
        if self.is_explicit and not positions and not self.filter.ids:
            return None
        return replace(self.filter, positions=positions)


def selecting(command: Command) -> Command:
    """The options that say which messages; the command receives a Selection and `as_json`."""

    @click.option("--service", help="Only of this service.")
    @click.option("--subscription", help="Only of this subscription (without the service's name).")
    @click.option("--type", "type_", help="Only events of this type, such as lab.result.available.")
    @click.option("--state", type=click.Choice(STATES), help="Only in this state.")
    @click.option("--key", help="Only of this aggregate.")
    @click.option("--flow", type=click.UUID, help="Only of this flow (correlation id).")
    @click.option(
        "--id", "ids", multiple=True, metavar="ID", help="This message: billing/17 as `list` says, or its event's id."
    )
    @click.option("--json", "as_json", is_flag=True, help="Print JSON.")
    @wraps(command)
    def with_selection(
        service: str | None, subscription: str | None, type_: str | None, state: str | None, key: str | None,
        flow: UUID | None, ids: tuple[str, ...], as_json: bool, **options: Any,
    ) -> Any:  # fmt: skip
        named = [_named(each) for each in ids]
        wanted = Filter(
            subscription=subscription, type=type_, state=state, key=key, flow=flow,
            ids=tuple(each for each in named if isinstance(each, UUID)),
        )  # fmt: skip
        handles = tuple(each for each in named if isinstance(each, tuple))
        return command(Selection(service=service, filter=wanted, handles=handles), as_json=as_json, **options)

    return with_selection


def declared() -> list[Service]:
    try:
        return services()
    except DeclarationError as wrong:
        raise Refused(str(wrong)) from wrong


def _named(text: str) -> UUID | tuple[str, int]:
    service, slash, position = text.partition("/")
    if slash and position.isascii() and position.isdigit() and len(position) < 19:
        return service, int(position)
    try:
        return UUID(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is neither like billing/17 nor an event's id", param_hint="--id") from None
