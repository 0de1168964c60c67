"""Personal data in the body of a kept message: masked for whoever looks, put back when a correction is saved.

What is personal is what contracts mark as such. What no contract of today knows may be: it is masked too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from broker.errors import RuleBroken
from contracts.event import Event, Personal

MASK = "•••"
"""What stands for a value that is not shown."""

NAMES = re.compile(r"[^\W_a-z][^\W_]+")
"""The words of a value that may name somebody by themselves: those that do not begin as most words of a sentence do."""


class MaskCannotBeSaved(RuleBroken):
    """A masked value stands for the one that was there before; where there was none, the new one has to be written out."""


def masked(body: bytes, event: type[Event] | None) -> str:
    """The body as indented JSON, with MASK for what may be personal; of a body that is not JSON, only its size."""
    try:
        data = json.loads(body)
    except ValueError:
        return f"({len(body)} bytes that are not JSON)"
    shown = _of_model(data, event.model_fields if event else {}) if isinstance(data, Mapping) else _unknown(data)
    return json.dumps(shown, indent=2, ensure_ascii=False)


def without_hidden(words: str, body: bytes, event: type[Event] | None) -> str:
    """A text about a message, such as somebody else wrote, with MASK for whatever is masked in the message's body."""
    try:
        data = json.loads(body)
    except ValueError:
        return words
    shown = json.loads(masked(body, event))
    hidden = {part for value in _hidden(data, shown) for part in (value, *NAMES.findall(value)) if len(part) > 1}
    if not hidden:
        return words
    longest_first = "|".join(map(re.escape, sorted(hidden, key=len, reverse=True)))
    return re.sub(rf"(?<!\w)(?:{longest_first})(?!\w)", MASK, words, flags=re.IGNORECASE)


def unmasked(edited: Any, original: Any) -> Any:
    """The edited JSON data with the original's values where it says MASK. Raises MaskCannotBeSaved."""
    if edited == MASK:
        if original is _Absent:
            raise MaskCannotBeSaved
        return original
    if isinstance(edited, Mapping):
        before = original if isinstance(original, Mapping) else {}
        return {name: unmasked(value, before.get(name, _Absent)) for name, value in edited.items()}
    if isinstance(edited, list):
        listed = original if isinstance(original, list) else []
        return [unmasked(value, listed[place] if place < len(listed) else _Absent) for place, value in enumerate(edited)]
    return edited


class _Absent:
    """There is no original."""


def _hidden(data: Any, shown: Any) -> Iterator[str]:
    """The values, as text, that are in the data and not in what is shown of it."""
    if isinstance(data, Mapping):
        for name, value in data.items():
            yield from _hidden(value, shown[name] if isinstance(shown, Mapping) else MASK)
    elif isinstance(data, list):
        for place, value in enumerate(data):
            yield from _hidden(value, shown[place] if isinstance(shown, list) else MASK)
    elif shown == MASK and data is not None:
        yield str(data)


def _of_model(data: Mapping[str, Any], fields: Mapping[str, FieldInfo]) -> dict[str, Any]:
    return {name: _of_field(value, fields[name]) if name in fields else _unknown(value) for name, value in data.items()}


def _of_field(value: Any, field: FieldInfo) -> Any:
    if any(isinstance(mark, Personal) for mark in field.metadata):
        return _unknown(value)
    return _of_type(value, field.annotation)


def _of_type(value: Any, annotation: Any) -> Any:
    """What a type of ours declares is shown, down to the marks within it; what is not of that type is masked."""
    for option in options(annotation):
        if isinstance(option, type) and issubclass(option, BaseModel) and isinstance(value, Mapping):
            return _of_model(value, option.model_fields)
        if get_origin(option) in (list, tuple) and isinstance(value, list):
            return [_of_type(each, get_args(option)[0]) for each in value]
    try:
        _adapter(annotation).validate_json(json.dumps(value))
    except ValidationError:
        return _unknown(value)
    return value


def options(annotation: Any) -> tuple[Any, ...]:
    """The types that an annotation allows, but for None."""
    if get_origin(annotation) is Annotated:
        return options(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return tuple(option for each in get_args(annotation) for option in options(each) if option is not NoneType)
    return (annotation,)


def _unknown(value: Any) -> Any:
    return None if value is None else MASK


@cache
def _adapter(annotation: Any) -> TypeAdapter[Any]:
    return TypeAdapter(annotation)
