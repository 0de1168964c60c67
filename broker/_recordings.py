"""Recordings of flows: what services said, one JSON line per message, with nothing in it that says of whom.

Personal data is masked where contracts mark it, and what is there still fits its contract. Ids are numbered as they appear, the
same one always by the same number, so that references hold; times are told as if the flow had begun at EPOCH. What the backbone
says on behalf of services is no part of a recording.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path
from typing import Any, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, ValidationError

from broker._envelope import Envelope
from broker._masking import MASK
from broker._service import Service
from contracts import backbone
from contracts.event import EVERY_SERVICE, Event, events_in
from contracts.example import FIXED, Examples, Schema

ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
OF_BACKBONE = frozenset(event.contract.name for event in events_in(backbone))


class RecordingError(ValueError):
    """A message cannot be recorded, or a recording not be read; this says why, without what is in it."""


class Recorded(BaseModel):
    """A message of a recording.

    number: its place, from 1. cause: the number of the message that caused it; None for what a command did, and where the cause
    was not heard. after: seconds since the first one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    number: int
    cause: int | None
    after: float
    source: str
    type: str
    version: int
    subject: str
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Rewriting:
    """What becomes of the parts of a body: of the ids in its texts, of moments and days, and of what is personal."""

    of_id: Callable[[str], str]
    of_moment: Callable[[datetime], datetime]
    of_day: Callable[[date], date]
    of_person: Callable[[Schema, Schema, Any], Any] | None = None

    def body(self, contract: type[Event], body: Mapping[str, Any]) -> dict[str, Any]:
        """A body that keeps to a contract, rewritten."""
        root = _schema(contract)
        rewritten: dict[str, Any] = self._value(root, root, body)
        return rewritten

    def text(self, text: str) -> str:
        """A text with its ids rewritten."""
        return ID.sub(lambda found: self.of_id(found[0].lower()), text)

    def _value(self, schema: Schema, root: Schema, value: Any) -> Any:
        if self.of_person is not None and "x-personal-data-of" in schema:
            return self.of_person(schema, root, value)
        if "$ref" in schema:
            return self._value(root["$defs"][str(schema["$ref"]).rpartition("/")[2]], root, value)
        if "anyOf" in schema:
            return self._value(_option(schema["anyOf"], root, value), root, value)
        if isinstance(value, Mapping):
            known, others = schema.get("properties", {}), schema.get("additionalProperties")
            of_others = others if isinstance(others, Mapping) else {}
            return {self.text(name): self._value(known.get(name, of_others), root, each) for name, each in value.items()}
        if isinstance(value, list):
            places: Sequence[Schema] = schema.get("prefixItems") or [schema.get("items") or {}] * len(value)
            return [self._value(each, root, item) for each, item in zip(places, value, strict=False)]
        return self._text_of(schema.get("format"), value) if isinstance(value, str) else value

    def _text_of(self, format_: str | None, text: str) -> str:
        match format_:
            case "date-time":
                return self.of_moment(datetime.fromisoformat(text)).isoformat()
            case "date":
                return self.of_day(date.fromisoformat(text)).isoformat()
            case _:
                return self.text(text)


@dataclass(slots=True)
class Numbered:
    """Ids by the order of their appearance, in the form of ids."""

    seen: dict[str, str] = field(default_factory=dict)

    def __call__(self, id_: str) -> str:
        return self.seen.setdefault(id_, str(UUID(int=(4 << 76) | (2 << 62) | len(self.seen) + 1)))


@dataclass(frozen=True, slots=True)
class Recording:
    """The messages of a flow, and what is left out of it: a line for each kind, without what is in the messages."""

    lines: list[Recorded]
    left_out: list[str]

    @classmethod
    def of(cls, envelopes: Sequence[Envelope], services: Iterable[Service]) -> Self:
        """What was heard of a flow, in the order in which it was heard.

        What the backbone says is no part of it. Left out is what no contract of these services knows, or not in that version,
        and what does not fit its contract, as it was said or once it is masked.
        """
        contracts, recording, known = contracts_of(services), cls([], []), []
        for envelope in _causes_first(envelopes):
            with recording._or_left_out():
                if envelope.type not in OF_BACKBONE:
                    known.append(_read(contracts, envelope))
        began = min((each.envelope.time for each in known), default=EPOCH)
        rewriting = Rewriting(
            of_id=Numbered(),
            of_moment=lambda moment: moment - began + EPOCH,
            of_day=lambda day: day - began.date() + EPOCH.date(),
            of_person=_masked,
        )
        numbers: dict[UUID | None, int] = {}
        for each in known:
            with recording._or_left_out():
                line = _line(each, rewriting, number=len(numbers) + 1, cause=numbers.get(each.envelope.cause), began=began)
                recording.lines.append(line)
                numbers[each.envelope.id] = line.number
        return recording

    @contextmanager
    def _or_left_out(self) -> Iterator[None]:
        try:
            yield
        except RecordingError as wrong:
            if str(wrong) not in self.left_out:
                self.left_out.append(str(wrong))


@dataclass(frozen=True, slots=True)
class Known:
    """A message, its contract of today, and its body in that version."""

    envelope: Envelope
    contract: type[Event]
    body: Mapping[str, Any]


def write(path: Path, lines: Iterable[Recorded]) -> None:
    """Writes a recording, in place of one that is there. Raises OSError."""
    unfinished = path.with_name(f"{path.name}.unfinished")
    unfinished.write_text("".join(f"{line.model_dump_json()}\n" for line in lines), encoding="utf-8")
    unfinished.replace(path)


def read(path: Path) -> list[Recorded]:
    """A recording's messages. Raises RecordingError, OSError."""
    lines = []
    for number, text in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            lines.append(Recorded.model_validate_json(text))
        except ValidationError as invalid:
            fields = ", ".join(sorted({".".join(map(str, error["loc"])) or "the line" for error in invalid.errors()}))
            raise RecordingError(f"{path.name}, line {number}: {fields} is not as `nilecare flows record` writes it") from None
    if not lines:
        raise RecordingError(f"{path.name} is empty")
    return lines


def contracts_of(services: Iterable[Service]) -> dict[str, type[Event]]:
    """The newest contract of each type that these services publish."""
    events = sorted((event for service in services for event in service.events), key=lambda event: event.contract.version)
    return {event.contract.name: event for event in events if event.contract.publisher != EVERY_SERVICE}


def _causes_first(envelopes: Sequence[Envelope]) -> Iterator[Envelope]:
    """In the order in which they were heard, but for a cause that was heard after its effect."""
    left = {envelope.id: envelope for envelope in envelopes}
    for envelope in envelopes:
        chain, at = [], left.get(envelope.id)
        while at is not None:
            chain.append(left.pop(at.id))
            at = left.get(at.cause) if at.cause else None
        yield from reversed(chain)


def _read(contracts: Mapping[str, type[Event]], envelope: Envelope) -> Known:
    """What is known of a message: of its body, nothing else is. Raises RecordingError."""
    contract, named = contracts.get(envelope.type), f"{envelope.type} v{envelope.version}"
    if contract is None or envelope.version > contract.contract.version:
        raise RecordingError(f"{named} is not known to this code")
    try:
        return Known(envelope, contract, contract.read(envelope.body, envelope.version).model_dump(mode="json"))
    except ValueError:
        raise RecordingError(f"{named} does not fit its contract") from None


def _line(known: Known, rewriting: Rewriting, *, number: int, cause: int | None, began: datetime) -> Recorded:
    """A message as it is written down. Raises RecordingError where it does not fit its contract then."""
    contract, envelope = known.contract, known.envelope
    body = rewriting.body(contract, known.body)
    try:
        subject = contract.model_validate(body).subject
    except ValidationError as invalid:
        fields = ", ".join(sorted({str(error["loc"][0]) for error in invalid.errors() if error["loc"]})) or "the body"
        raise RecordingError(f"{envelope.type} does not fit its contract once it is masked: {fields}") from None
    return Recorded(
        number=number,
        cause=cause,
        after=round((envelope.time - began).total_seconds(), 3),
        source=envelope.source,
        type=envelope.type,
        version=contract.contract.version,
        subject=subject,
        body=body,
    )


def _masked(schema: Schema, root: Schema, value: Any) -> Any:
    """What stands for personal data: something of its kind, where there was something."""
    if value is None:
        return None
    plain = {name: each for name, each in schema.items() if name != "examples"}
    return Examples(root, FIXED, text=MASK).of(plain)


def _option(options: Sequence[Schema], root: Schema, value: Any) -> Schema:
    """The alternative that a value is of."""
    for option in options:
        named = root["$defs"][str(option["$ref"]).rpartition("/")[2]] if "$ref" in option else option
        if isinstance(value, Mapping) and "properties" in named:
            if set(named.get("required", ())) <= value.keys() <= named["properties"].keys():
                return option
        elif named.get("type") == _kind(value):
            return option
    return {}


def _kind(value: Any) -> str:
    kinds = {str: "string", list: "array", dict: "object", bool: "boolean", int: "integer", float: "number"}
    return kinds.get(type(value), "null")


@cache
def _schema(contract: type[Event]) -> Schema:
    return contract.model_json_schema()
