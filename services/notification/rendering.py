"""Templates: what may be registered, and making a message of one. Jinja in a sandbox; nothing is sent that is not whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from jinja2 import StrictUndefined, TemplateError, meta
from jinja2.sandbox import ImmutableSandboxedEnvironment

from contracts.notification import Channel
from services.notification.errors import (
    PersonalDataStaysOutOfShortMessages,
    TemplateIsMalformed,
    TemplateUsesUndeclaredVariable,
    VariableIsMissing,
)
from services.notification.topics import SAMPLES, SHORT_CHANNELS, Topic

ENVIRONMENT = ImmutableSandboxedEnvironment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)

TIMES = frozenset({"time"})
"""The variables that are moments: shown as the clock on the recipient's wall shows them."""

UNRENDERABLE = (TemplateError, ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What a template can do wrong while it runs: its own expressions raise like any code."""


@dataclass(frozen=True, slots=True)
class Content:
    """A template, or what was made of it. A short message has no subject."""

    subject: str | None
    body: str


def check_template(topic: Topic, channel: Channel, template: Content) -> None:
    """Raises TemplateIsMalformed, TemplateUsesUndeclaredVariable, PersonalDataStaysOutOfShortMessages."""
    if (template.subject is None) != (channel in SHORT_CHANNELS):
        raise TemplateIsMalformed
    used = _used(template)
    if undeclared := used - topic.variables:
        raise TemplateUsesUndeclaredVariable(variables=", ".join(sorted(undeclared)))
    if personal := used - topic.variables_on(channel):
        raise PersonalDataStaysOutOfShortMessages(variables=", ".join(sorted(personal)))
    try:
        render(topic, channel, template, SAMPLES, ZoneInfo("UTC"))
    except VariableIsMissing as incomplete:
        raise TemplateIsMalformed from incomplete


def render(topic: Topic, channel: Channel, template: Content, variables: Mapping[str, object], zone: ZoneInfo) -> Content:
    """The message: with the variables that the channel may carry, and no others. Raises VariableIsMissing."""
    allowed = topic.variables_on(channel)
    try:
        given = {name: _shown(name, value, zone) for name, value in variables.items() if name in allowed and value is not None}
        subject = None if template.subject is None else " ".join(_text(template.subject, given).split())
        body = _text(template.body, given).strip()
    except UNRENDERABLE as failure:
        raise VariableIsMissing from failure
    if not body or subject == "":
        raise VariableIsMissing
    return Content(subject, body)


def _text(source: str, given: Mapping[str, object]) -> str:
    return ENVIRONMENT.from_string(source).render(given)


def _used(template: Content) -> set[str]:
    try:
        sources = [source for source in (template.subject, template.body) if source is not None]
        return set[str]().union(*(meta.find_undeclared_variables(ENVIRONMENT.parse(source)) for source in sources))
    except TemplateError as failure:
        raise TemplateIsMalformed from failure


def _shown(name: str, value: object, zone: ZoneInfo) -> object:
    if name in TIMES:
        return datetime.fromisoformat(str(value)).astimezone(zone).strftime("%Y-%m-%d %H:%M")
    return value
