"""Whose personal data is in a body, and the body without that of certain persons.

Contracts mark what is personal and whose. A body that no contract of today reads may hold anybody's: it is of everybody whose
id stands in it, and only ids are left of it when one of them is erased.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Annotated, Any, get_args, get_origin
from uuid import UUID

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import to_jsonable_python

from broker._masking import options
from broker.errors import DeclarationError
from contracts.backbone import ReplicaStates
from contracts.event import ERASURES, Event, Personal

ID = re.compile(rb"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE)

ANYBODY = "*"
"""The kind of person of a field that says itself whose it is: everybody's whose id stands in it."""

Persons = frozenset[UUID]
Object = dict[str, Any]


@cache
def kinds_of(model: type[BaseModel]) -> frozenset[str]:
    """The fields that say whose the personal data of an event, or another model, is: its own, and that of models within."""
    found: set[str] = set()
    for name, field in model.model_fields.items():
        mark = mark_of(field)
        if mark is not None:
            found.add(ANYBODY if mark.of == name else mark.of)
        found |= kinds_within(field)
    return frozenset(found)


def kinds_within(field: FieldInfo) -> frozenset[str]:
    """The same of the models within a field."""
    return frozenset[str]().union(*(kinds_of(inner) for inner in _models_in(field.annotation)))


@cache
def _is_nested(model: type[BaseModel]) -> bool:
    return any(kinds_within(field) for field in model.model_fields.values())


def is_erasable(events: Iterable[type[Event]]) -> bool:
    """Whether one of these events has personal data of persons who can be erased."""
    kinds = frozenset[str]().union(*map(kinds_of, events))
    return not kinds.isdisjoint(ERASURES) or (ANYBODY in kinds and bool(ERASURES))


def mark_of(field: FieldInfo) -> Personal | None:
    """The mark of a field that is personal data."""
    return next((mark for mark in field.metadata if isinstance(mark, Personal)), None)


def erased_value(field: FieldInfo) -> Any:
    """What stands in a personal field once the person is erased. Raises DeclarationError where its contract does not say."""
    mark = mark_of(field)
    declared: Any = Annotated[field.annotation, *field.metadata]
    adapter: TypeAdapter[Any] = TypeAdapter(declared)
    for value in (None, "") if mark is None or mark.erased is None else (mark.erased,):
        try:
            return adapter.validate_python(value)
        except ValidationError:
            continue
    raise DeclarationError("can be neither null nor empty: say what stands there instead, Personal(of=…, erased=…)")


class Bodies:
    """Looks into bodies, with the newest of the contracts that are known."""

    def __init__(self, events: Iterable[type[Event]]) -> None:
        self._events = {event.contract.name: event for event in sorted(events, key=lambda event: event.contract.version)}

    def is_erasable(self, type_: str) -> bool:
        """Whether messages of a type may have data of persons who can be erased."""
        event = self._events.get(type_)
        return event in (None, ReplicaStates) or is_erasable([event])

    def newest(self, type_: str) -> int:
        """The version of a type that is known; 0 for an unknown one."""
        return self._events[type_].contract.version if type_ in self._events else 0

    def persons(self, type_: str, version: int, body: bytes) -> Persons:
        """Whose personal data may be in a body."""
        known = self._events.get(type_)
        if known not in (None, ReplicaStates) and not kinds_of(known) and version <= known.contract.version:
            return frozenset()
        event, data = self._read(type_, version, body)
        if event is None or data is None:
            return _ids_in(body)
        return frozenset(person for part, state in self._parts(event, data) for person in self._persons_of(part, state))

    def persons_of(self, event: Event, body: bytes) -> Persons:
        """The same of an event that was read from a body, or is to be written: its fields say it, where none is nested."""
        contract = type(event)
        if contract is ReplicaStates or _is_nested(contract) or ANYBODY in kinds_of(contract):
            return self.persons(contract.contract.name, contract.contract.version, body)
        ids = (getattr(event, of) for of in kinds_of(contract))
        return frozenset(id_ for id_ in ids if isinstance(id_, UUID))

    def holds(self, type_: str, version: int, body: bytes, person: UUID) -> bool:
        """Whether a body has personal data of a person, and not their id alone."""
        if person not in self.persons(type_, version, body):
            return False
        return _object(body) != _object(self.without(type_, version, body, frozenset([person])))

    def without(self, type_: str, version: int, body: bytes, erased: Persons) -> bytes:
        """The body without the personal data of these persons; of what is no JSON object nothing is left."""
        event, data = self._read(type_, version, body)
        if event is None or data is None:
            return _written(_ids_alone(_object(body) or {}))
        parts = list(self._parts(event, data))
        for part, state in parts:
            if not erased.isdisjoint(self._persons_of(part, state)):
                _erase(part, state, erased)
        if event is ReplicaStates:
            data["rows"] = json.dumps([[part.get(name) for name in data["fields"]] for part, _ in parts])
        return _written(data)

    def _read(self, type_: str, version: int, body: bytes) -> tuple[type[Event] | None, Object | None]:
        """The contract that a body keeps to, and its data; None for both where that is not the one known, in its version."""
        event = self._events.get(type_)
        if event is None or event.contract.version != version:
            return None, None
        try:
            event.read(body, version)
        except ValidationError:
            return None, None
        return event, _object(body)

    def _parts(self, event: type[Event], data: Object) -> Iterator[tuple[Object, type[Event] | None]]:
        """The event with its contract; or the states that an answer to a replica holds."""
        if event is not ReplicaStates:
            yield data, event
            return
        state = self._events.get(data["type"])
        known = state if state is not None and state.contract.version == data["type_version"] else None
        for row in json.loads(data["rows"]):
            yield dict(zip(data["fields"], row, strict=False)), known

    def _persons_of(self, data: Object, event: type[Event] | None) -> Persons:
        if event is None:
            return _ids_in(_written(data))
        return frozenset[UUID]().union(*(persons for *_, persons in _marked(data, event)))


def _marked(data: Object, model: type[BaseModel], *around: Object) -> Iterator[tuple[Object, str, FieldInfo, Persons]]:
    """The personal fields that are there: the object each stands in, its name, how it is declared, and whose it is."""
    scopes = (data, *around)
    for name, field in model.model_fields.items():
        mark = mark_of(field)
        if name not in data:
            continue
        if mark is not None:
            said = next((scope[mark.of] for scope in scopes if mark.of in scope), None)
            person = _id(said)
            yield data, name, field, frozenset([person]) if person is not None else _ids_in(_written(said))
            continue
        for inner, inner_model in _models_of(data[name], field.annotation):
            yield from _marked(inner, inner_model, *scopes)


def _erase(data: Object, event: type[Event] | None, erased: Persons) -> None:
    """Takes the data of these persons out, and what the contract does not know."""
    if event is None:
        data.update(_ids_alone(data))
        return
    for place, name, field, persons in list(_marked(data, event)):
        if not persons.isdisjoint(erased):
            place[name] = to_jsonable_python(erased_value(field))
    _forget_unknown(data, event)


def _forget_unknown(data: Object, model: type[BaseModel]) -> None:
    for name in data.keys() - model.model_fields.keys():
        del data[name]
    for name in data:
        for inner, inner_model in _models_of(data[name], model.model_fields[name].annotation):
            _forget_unknown(inner, inner_model)


def _models_of(value: Any, annotation: Any) -> Iterator[tuple[Object, type[BaseModel]]]:
    """The models within a field's value: itself, or those in a list."""
    for option in options(annotation):
        if isinstance(option, type) and issubclass(option, BaseModel) and isinstance(value, dict):
            yield value, option
        elif get_origin(option) in (list, tuple) and isinstance(value, list):
            for each in value:
                yield from _models_of(each, get_args(option)[0])


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    for option in options(annotation):
        if isinstance(option, type) and issubclass(option, BaseModel):
            yield option
        elif get_origin(option) in (list, tuple):
            yield from _models_in(get_args(option)[0])


def _ids_alone(value: Any) -> Any:
    """A value of which nothing is known, without anything but ids: a later contract may still read them."""
    if isinstance(value, Mapping):
        return {name: _ids_alone(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_ids_alone(each) for each in value]
    if isinstance(value, str):
        return value if _id(value) is not None else ""
    return None


def _ids_in(body: bytes) -> Persons:
    return frozenset(UUID(found.decode()) for found in ID.findall(body))


def _id(value: Any) -> UUID | None:
    try:
        return UUID(value)
    except (ValueError, TypeError, AttributeError):
        return None


def _object(body: bytes) -> Object | None:
    try:
        data = json.loads(body)
    except ValueError:
        return None
    return data if isinstance(data, dict) else None


def _written(data: Any) -> bytes:
    return json.dumps(data, separators=(",", ":"), ensure_ascii=False).encode()
