"""Fields that somebody wrote into a body and nobody will read: a slip of the pen, which no contract refuses.

A consumer ignores the fields that it does not know, since a newer publisher may add some. So what was there before is no slip.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args, get_origin

from pydantic import BaseModel

from broker._masking import options
from contracts.event import Event


def unread(edited: Mapping[str, Any], original: Any, event: type[Event]) -> list[str]:
    """The fields of an edited body, such as `lines.0.prize`, that neither the contract nor the original has at that place.

    In a list, each element may have what any of the original's had.
    """
    return list(_of_model(edited, [original], [event], ""))


def _of_model(data: Mapping[str, Any], before: Sequence[Any], models: Sequence[type[BaseModel]], path: str) -> Iterator[str]:
    fields = {name: field for model in models for name, field in model.model_fields.items()}
    objects = [each for each in before if isinstance(each, Mapping)]
    for name, value in data.items():
        was = [each[name] for each in objects if name in each]
        if name in fields:
            yield from _of_type(value, was, fields[name].annotation, f"{path}{name}")
        elif not was:
            yield f"{path}{name}"


def _of_type(value: Any, before: Sequence[Any], annotation: Any, path: str) -> Iterator[str]:
    models = [each for each in options(annotation) if isinstance(each, type) and issubclass(each, BaseModel)]
    if models and isinstance(value, Mapping):
        yield from _of_model(value, before, models, f"{path}.")
        return
    for option in options(annotation):
        if get_origin(option) in (list, tuple) and isinstance(value, list):
            elements = [each for listed in before if isinstance(listed, list) for each in listed]
            for place, each in enumerate(value):
                yield from _of_type(each, elements, get_args(option)[0], f"{path}.{place}")
