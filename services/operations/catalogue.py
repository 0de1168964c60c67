"""The catalogue of events: every released version of every contract, as people read it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import groupby
from typing import Any

import contracts
from contracts.event import EVERY_SERVICE
from contracts.example import FIXED, Examples
from services.operations.overview import Platform

Schema = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Field:
    """A field of an event. personal_of: the field that says whose personal data it is; None where it is none."""

    name: str
    kind: str
    is_required: bool
    personal_of: str | None
    says: str


@dataclass(frozen=True, slots=True)
class Version:
    """A released version of an event. is_state: whether it carries its aggregate's whole state, and feeds replicas."""

    name: str
    version: int
    publisher: str
    key: str
    says: str
    fields: list[Field]
    is_state: bool
    schema: str
    example: str


@cache
def by_publisher() -> Mapping[str, list[Version]]:
    """The newest version of each event, by who publishes it."""
    newest = {each.name: each for each in _released()}.values()
    in_order = sorted(newest, key=lambda each: (each.publisher, each.name))
    return {publisher: list(own) for publisher, own in groupby(in_order, lambda each: each.publisher)}


@cache
def versions(type_: str) -> list[Version]:
    """All versions of an event, the newest first; none where there is no such event."""
    return [each for each in reversed(_released()) if each.name == type_]


def heard(platform: Platform) -> Mapping[str, list[str]]:
    """The queues that hear each event type, as services say."""
    found: dict[str, list[str]] = {}
    for service in platform.services:
        for queue in service.queues:
            for type_ in queue.types:
                found.setdefault(type_, []).append(queue.name)
    return found


@cache
def _released() -> list[Version]:
    """Every version, older ones before newer."""
    texts = [
        file.read_text(encoding="utf-8") for file in (files(contracts) / "schemas").iterdir() if file.name.endswith(".json")
    ]
    return sorted((_version(json.loads(text)) for text in texts), key=lambda each: (each.name, each.version))


def _version(said: Mapping[str, Any]) -> Version:
    root: Schema = said["data"]
    own, required = root["properties"], root.get("required", ())
    examples = Examples(root, FIXED)
    return Version(
        name=said["name"],
        version=said["version"],
        publisher="every service" if said["publisher"] == EVERY_SERVICE else said["publisher"],
        key=said["key"],
        says=_plain(root),
        fields=[
            Field(name, _kind(schema, root), name in required, schema.get("x-personal-data-of"), _plain(schema))
            for name, schema in _key_first(own, said["key"])
        ],
        is_state="state_version" in own,
        schema=json.dumps(root, indent=2),
        example=json.dumps({name: examples.of(schema) for name, schema in _key_first(own, said["key"])}, indent=2),
    )


def _key_first(own: Mapping[str, Schema], key: str) -> Iterable[tuple[str, Schema]]:
    return sorted(own.items(), key=lambda each: each[0] != key)


def _plain(schema: Schema) -> str:
    return " ".join(str(schema.get("description", "")).split())


def _kind(schema: Schema, root: Schema) -> str:
    """What a value may be, in words."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        kinds = [_kind(each, root) for each in schema["anyOf"] if not (_is_decimal(schema) and each.get("type") == "number")]
        return " or ".join("decimal" if _is_decimal(schema) and kind == "string" else kind for kind in kinds)
    if "const" in schema or "enum" in schema:
        return " or ".join(json.dumps(value) for value in schema.get("enum", [schema.get("const")]))
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}), root)}"
    return str(schema.get("format") or schema.get("type") or "anything")


def _is_decimal(schema: Schema) -> bool:
    """Whether it is a number that is written as text, so that no reader makes a float of it."""
    return {"number", "string"} <= {each.get("type") for each in schema.get("anyOf", ())}
