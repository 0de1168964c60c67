"""Templates: what may be registered, and making a message of one; nothing is sent that is not whole.

Of Jinja, in its sandbox, a template may use what a letter needs: variables, `if` with comparisons, a few filters, and one `for`
over a list that it was given. No calls, no arithmetic, no loops inside loops: so every template comes to an end, soon.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from jinja2 import StrictUndefined, TemplateError, meta, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from contracts.notification import Channel
from services.notification.errors import (
    PersonalDataStaysOutOfShortMessages,
    PersonalDataStaysOutOfSubjects,
    TemplateIsMalformed,
    TemplateUsesUndeclaredVariable,
    VariableIsMissing,
)
from services.notification.topics import SAMPLES, SHORT_CHANNELS, Topic

ENVIRONMENT = ImmutableSandboxedEnvironment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)

MAY_USE = (
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.Name, nodes.Const, nodes.If, nodes.For, nodes.Filter, nodes.Test,
    nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not,
)  # fmt: skip
FILTERS = frozenset({"capitalize", "join", "length", "lower", "trim", "upper"})
TESTS = frozenset({"defined"})
LISTS = frozenset({"items"})
"""The variables that are lists, and may be gone through."""

LONGEST_SHORT_MESSAGE = 459
"""Three text messages in one (3GPP TS 23.038), with the samples for variables."""

TIMES = frozenset({"time"})
"""The variables that are moments: shown as the clock on the recipient's wall shows them."""

UNRENDERABLE = (
    TemplateError,
    TemplateIsMalformed,
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)
"""What a template can do wrong while it runs: its own expressions raise like any code."""


@dataclass(frozen=True, slots=True)
class Content:
    """A template, or what was made of it. A short message has no subject."""

    subject: str | None
    body: str


def check_template(topic: Topic, channel: Channel, template: Content) -> None:
    """Raises TemplateIsMalformed, TemplateUsesUndeclaredVariable, PersonalDataStaysOutOfShortMessages, …OutOfSubjects."""
    if (template.subject is None) != (channel in SHORT_CHANNELS):
        raise TemplateIsMalformed
    used = _used(template.subject or "") | _used(template.body)
    if undeclared := used - topic.variables:
        raise TemplateUsesUndeclaredVariable(variables=", ".join(sorted(undeclared)))
    if personal := used - topic.variables_on(channel):
        raise PersonalDataStaysOutOfShortMessages(variables=", ".join(sorted(personal)))
    if personal := _used(template.subject or "") - topic.variables_in_subjects:
        raise PersonalDataStaysOutOfSubjects(variables=", ".join(sorted(personal)))
    try:
        tried = render(topic, channel, template, SAMPLES, ZoneInfo("UTC"))
    except VariableIsMissing as incomplete:
        raise TemplateIsMalformed from incomplete
    if channel in SHORT_CHANNELS and len(tried.body) > LONGEST_SHORT_MESSAGE:
        raise TemplateIsMalformed


def render(topic: Topic, channel: Channel, template: Content, variables: Mapping[str, object], zone: ZoneInfo) -> Content:
    """The message: with the variables that the channel may carry, and no others. Raises VariableIsMissing."""
    allowed = topic.variables_on(channel)
    try:
        given = {name: _shown(name, value, zone) for name, value in variables.items() if name in allowed and value is not None}
        on_top = {name: value for name, value in given.items() if name in topic.variables_in_subjects}
        subject = None if template.subject is None else " ".join(_text(template.subject, on_top).split())
        body = _text(template.body, given).strip()
    except UNRENDERABLE as failure:
        raise VariableIsMissing from failure
    if not body or subject == "":
        raise VariableIsMissing
    return Content(subject, body)


def _text(source: str, given: Mapping[str, object]) -> str:
    _parsed(source)
    return ENVIRONMENT.from_string(source).render(given)


def _used(source: str) -> set[str]:
    return meta.find_undeclared_variables(_parsed(source))


def _parsed(source: str) -> nodes.Template:
    """What the template is made of. Raises TemplateIsMalformed."""
    try:
        template = ENVIRONMENT.parse(source)
    except TemplateError as failure:
        raise TemplateIsMalformed from failure
    if not all(map(_is_allowed, template.find_all(nodes.Node))):
        raise TemplateIsMalformed
    return template


def _is_allowed(node: nodes.Node) -> bool:
    match node:
        case nodes.For():
            through = node.iter.name if isinstance(node.iter, nodes.Name) else None
            return through in LISTS and not node.recursive and next(node.find_all(nodes.For), None) is None
        case nodes.Filter():
            return node.name in FILTERS
        case nodes.Test():
            return node.name in TESTS
        case _:
            return isinstance(node, MAY_USE)


def _shown(name: str, value: object, zone: ZoneInfo) -> object:
    if name in TIMES:
        return datetime.fromisoformat(str(value)).astimezone(zone).strftime("%Y-%m-%d %H:%M")
    return value
