"""Which failed messages a command means: its options."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from functools import wraps
from typing import Any
from uuid import UUID

import click

from broker import DeclarationError, Service, clock
from broker._dead_letters import Filter
from nilecare import addresses
from nilecare.platform import services

Command = Callable[..., Any]

STATES = ("retrying", "waiting", "held", "dead")
UNITS = {"m": "minutes", "h": "hours", "d": "days"}

NAMED = 20
"""Names, at most, that are said in one line."""


class Refused(click.ClickException):
    """What was asked cannot be done; one line says why."""

    exit_code = 2


class Moment(click.ParamType[datetime]):
    """A moment, or how long ago it was: `2026-11-27T03:00`, UTC where it does not say, or `90m`, `2h`, `3d`."""

    name = "when"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """As a moment. Fails with what would be right."""
        if isinstance(value, datetime):
            return value
        number, unit = value[:-1], value[-1:]
        if unit in UNITS and number.isascii() and number.isdigit() and len(number) < 6:
            return clock.now() - timedelta(**{UNITS[unit]: int(number)})
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is neither a moment like 2026-11-27T03:00 nor an age like 90m, 2h, 3d", param, ctx)
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The messages that the options ask for. handles: those that were named as `list` names them."""

    service: str | None
    filter: Filter
    handles: tuple[tuple[str, int], ...] = ()

    @property
    def is_explicit(self) -> bool:
        """Whether each message was named."""
        return bool(self.handles or self.filter.ids)

    @property
    def is_narrowed(self) -> bool:
        """Whether it says more than whose messages and in which state."""
        return self.is_explicit or replace(self.filter, states=()) != Filter()

    def services(self) -> list[Service]:
        """The services to ask. Raises Refused for one that does not exist, or where the environment knows only one."""
        known = {service.name: service for service in declared()}
        named = {self.service} if self.service else {name for name, _ in self.handles}
        for name in sorted(named - known.keys()):
            raise Refused(f"there is no service {name}: it is one of {near_first(name, known)}")
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
    """The options that say which messages; the command receives a Selection."""

    @click.option("--service", help="Only of this service.")
    @click.option("--subscription", help="Only of this subscription (without the service's name).")
    @click.option("--type", "type_", help="Only events of this type, such as lab.result.available.")
    @click.option(
        "--state",
        "states",
        multiple=True,
        type=click.Choice([*STATES, "any"]),
        help="Only in this state: dead unless you say so, or name messages.",
    )
    @click.option("--fingerprint", help="Only those that failed for this reason, as `groups` names it.")
    @click.option("--text", help="Only where fingerprint or reason has words that begin so.")
    @click.option("--key", help="Only of this aggregate.")
    @click.option("--flow", type=click.UUID, help="Only of this flow (correlation id).")
    @click.option("--since", type=Moment(), help="Only what failed last at this time (2026-11-27T03:00, 2h) or later.")
    @click.option("--until", type=Moment(), help="Only what failed last before this time.")
    @click.option(
        "--id", "ids", multiple=True, metavar="ID", help="This message: billing/17 as `list` says, or its event's id."
    )
    @wraps(command)
    def with_selection(
        service: str | None, subscription: str | None, type_: str | None, states: tuple[str, ...], fingerprint: str | None,
        text: str | None, key: str | None, flow: UUID | None, since: datetime | None, until: datetime | None,
        ids: tuple[str, ...], **options: Any,
    ) -> Any:  # fmt: skip
        named = [_named(each) for each in ids]
        chosen = states or (() if ids else ("dead",))
        wanted = Filter(
            subscription=subscription, type=type_, states=() if "any" in chosen else chosen, fingerprint=fingerprint,
            text=text, key=key, flow=flow, since=since, until=until,
            ids=tuple(each for each in named if isinstance(each, UUID)),
        )  # fmt: skip
        handles = tuple(each for each in named if isinstance(each, tuple))
        return command(Selection(service=service, filter=wanted, handles=handles), **options)

    return with_selection


def one_of(name: str) -> Service:
    """The service of this name. Raises Refused."""
    return Selection(service=name, filter=Filter()).services()[0]


def declared() -> list[Service]:
    """All services. Raises Refused when one is declared wrongly."""
    try:
        return services()
    except DeclarationError as wrong:
        raise Refused(str(wrong)) from wrong


def near_first(name: str, names: Iterable[str]) -> str:
    """The names that there are, in one line: those first that may have been meant."""
    names = sorted(names)
    near = get_close_matches(name, names, cutoff=0.5)
    listed = [*near, *(each for each in names if each not in near)]
    return ", ".join(listed[:NAMED]) + (f" and {len(listed) - NAMED} more" if len(listed) > NAMED else "")


def handle_of(text: str, option: str = "--id") -> tuple[str, int]:
    """The service and number in `billing/17`, which the option was given. Raises BadParameter."""
    named = _named(text, option)
    if isinstance(named, UUID):
        raise click.BadParameter(f"say which service: {text!r} is not like billing/17", param_hint=option)
    return named


def _named(text: str, option: str = "--id") -> UUID | tuple[str, int]:
    service, slash, position = text.partition("/")
    if slash and position.isascii() and position.isdigit() and len(position) < 19:
        return service, int(position)
    try:
        return UUID(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is neither like billing/17 nor an event's id", param_hint=option) from None
