"""A valid example of what a contract allows, from its JSON Schema: what its publisher gives, or else what fits.

A publisher gives examples in its fields: `code: str = Field(examples=["2345-7"])`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Schema = Mapping[str, Any]
Makers = Mapping[str, Callable[[], str]]

FIXED: Makers = {
    "uuid": lambda: "0190b3c4-5d6e-7f80-9a1b-2c3d4e5f6071",
    "date-time": lambda: "2026-03-01T09:30:00Z",
    "date": lambda: "2026-03-01",
    "time": lambda: "09:30:00Z",
    "duration": lambda: "PT90M",
    "email": lambda: "somebody@example.org",
    "uri": lambda: "https://example.org/",
}
"""Texts by JSON Schema's format: the same in every example."""

AMOUNT, TEXT = "12.50", "text"
WORDS = (TEXT, "USD", "A", "1", "2026")
"""Texts that are tried where one has to match a pattern."""


class NoExample(ValueError):
    """What a schema allows cannot be told from it; the message says where. Let the contract give an example there."""


@dataclass(frozen=True, slots=True)
class Examples:
    """Makes examples of the parts of one schema, to which references lead.

    formats: what makes the texts of a format. is_sparse: nothing stands where nothing has to. text: where any text may stand.
    """

    root: Schema
    formats: Makers
    is_sparse: bool = False
    text: str = TEXT

    def of(self, schema: Schema, at: str = "$") -> Any:
        """A value that the schema, which stands `at` this place, allows. Raises NoExample."""
        if schema.get("examples"):
            return schema["examples"][0]
        if "$ref" in schema:
            return self.of(self.root["$defs"][str(schema["$ref"]).rpartition("/")[2]], at)
        if "const" in schema or "enum" in schema:
            return schema.get("const", schema.get("enum", [None])[0])
        if "anyOf" in schema:
            return self._of_any(schema["anyOf"], at)
        match schema.get("type"):
            case "object":
                return self._object(schema, at)
            case "string":
                return self._text(schema, at)
            case "integer" | "number":
                return _number(schema)
            case "boolean":
                return schema.get("default", False)
            case "array":
                return self._list(schema, at)
            case "null":
                return None
            case _:
                return {}

    def _of_any(self, options: list[Schema], at: str) -> Any:
        kinds = {each.get("type") for each in options}
        if self.is_sparse and "null" in kinds:
            return None
        if {"number", "string"} <= kinds:
            return AMOUNT  # a number that is written as text, so that no reader makes a float of it
        return self.of(max(options, key=lambda each: each.get("type") == "string"), at)

    def _object(self, schema: Schema, at: str) -> dict[str, Any]:
        required = schema.get("required", ())
        return {
            name: self.of(each, f"{at}.{name}")
            for name, each in schema.get("properties", {}).items()
            if name in required or not self.is_sparse
        }

    def _list(self, schema: Schema, at: str) -> list[Any]:
        if "prefixItems" in schema:
            return [self.of(each, f"{at}[{place}]") for place, each in enumerate(schema["prefixItems"])]
        items = schema.get("items") or {}
        count = schema.get("minItems", 1 if items else 0)
        return [self.of(items, f"{at}[{place}]") for place in range(count)]

    def _text(self, schema: Schema, at: str) -> str:
        if schema.get("format") in self.formats:
            return self.formats[schema["format"]]()
        pattern = schema.get("pattern", "")
        fits = [word for word in (schema.get("default"), *WORDS) if isinstance(word, str) and re.search(pattern, word)]
        if not fits:
            raise NoExample(f"{at}: no text is known that matches {pattern!r}")
        if pattern:
            return fits[0]
        return self.text.ljust(schema.get("minLength", 0), ".")[: schema.get("maxLength")]


def example(schema: Schema, formats: Makers = FIXED, *, is_sparse: bool = False) -> Any:
    """A value that a whole schema allows. `Examples` says what the arguments are. Raises NoExample."""
    return Examples(schema, formats, is_sparse).of(schema)


def _number(schema: Schema) -> int | float:
    number: int | float = max(1, schema.get("minimum", schema.get("exclusiveMinimum", 0) + 1))
    most: int | float = schema.get("maximum", number)
    return min(number, most)
