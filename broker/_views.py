"""The bases of what an HTTP API takes and shows."""

from __future__ import annotations

from datetime import date, time
from typing import Any, get_args

from pydantic import AwareDatetime, BaseModel, ConfigDict, model_validator


class Asked(BaseModel):
    """The body of a request; a field that is not known is an error, and so is a number where a day or a time is asked for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _moments_are_texts(cls, told: Any) -> Any:
        """Pydantic takes 0 for 1970-01-01: nobody means that, and the OpenAPI document says text."""
        return {name: cls._text_of(name, value) for name, value in told.items()} if isinstance(told, dict) else told

    @classmethod
    def _text_of(cls, name: str, value: Any) -> Any:
        """The value, or in place of a number something that Pydantic refuses there."""
        field = cls.model_fields.get(name)
        return [] if isinstance(value, int | float) and field is not None and _is_moment(field.annotation) else value


class Shown(BaseModel):
    """What a reply shows of a row: `OrderView.model_validate(order)` takes the attributes of the same names."""

    model_config = ConfigDict(from_attributes=True)


def _is_moment(annotation: Any) -> bool:
    if isinstance(annotation, type):
        # Pydantic's name for a datetime with an offset is none of its subclasses.
        return annotation is AwareDatetime or issubclass(annotation, date | time)
    return any(_is_moment(inside) for inside in get_args(annotation))
