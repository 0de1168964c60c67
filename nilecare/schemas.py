"""Released schemas of the events, and what would break if a contract were released as it stands now.

A released version is a JSON file beside the contracts, `contracts/schemas/<event>.v<version>.json`. Messages written in it
may still be on their way, and other teams read them by it: it may only change in ways that neither notices.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import contracts
from contracts.event import Event

FOLDER = Path(contracts.__file__).parent / "schemas"

FOR_PEOPLE = {"title", "description", "default", "examples", "$defs"}
NOT_A_LIMIT = {"type", "x-personal-data-of", "items", "properties", "required", "additionalProperties"}

Schema = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A version of an event's contract as it was released."""

    name: str
    version: int
    publisher: str
    key: str
    data: Schema

    @classmethod
    def of(cls, event: type[Event]) -> Snapshot:
        """The contract as it stands in the code."""
        contract = event.contract
        return cls(contract.name, contract.version, contract.publisher, contract.key, event.model_json_schema())

    @classmethod
    def load(cls, path: Path) -> Snapshot:
        """The contract as it was released."""
        return cls(**json.loads(path.read_text()))

    @property
    def file(self) -> str:
        """The name of its file."""
        return f"{self.name}.v{self.version}.json"

    @property
    def title(self) -> str:
        """How a person names it."""
        return f"{self.name} v{self.version}"

    def text(self) -> str:
        """What its file holds."""
        content = {"name": self.name, "version": self.version, "publisher": self.publisher, "key": self.key, "data": self.data}
        return json.dumps(content, indent=2, sort_keys=True) + "\n"


def released(folder: Path = FOLDER) -> dict[tuple[str, int], Snapshot]:
    """Every released version, by event and version."""
    snapshots = (Snapshot.load(path) for path in sorted(folder.glob("*.json")))
    return {(snapshot.name, snapshot.version): snapshot for snapshot in snapshots}


def release(events: Iterable[type[Event]], folder: Path = FOLDER) -> list[str]:
    """Writes the snapshots that are missing or behind; gives the names of the files written."""
    folder.mkdir(exist_ok=True)
    written = []
    for event in events:
        snapshot = Snapshot.of(event)
        path = folder / snapshot.file
        if not path.exists() or path.read_text() != snapshot.text():
            path.write_text(snapshot.text())
            written.append(snapshot.file)
    return written


def breaking_changes(old: Snapshot, new: Snapshot) -> list[str]:
    """What a reader of `old` would trip over in `new`, or a reader of `new` in a message of `old`: a line for each."""
    lines = []
    if old.publisher != new.publisher:
        lines.append(f"its publisher changed from {old.publisher} to {new.publisher}")
    if old.key != new.key:
        lines.append(f"its key changed from {old.key} to {new.key}: order holds per key")
    lines += _changes("", _resolve(old.data, old.data), _resolve(new.data, new.data))
    return lines


def _resolve(schema: Schema, root: Schema) -> Schema:
    """The schema with its references put in place, and what is only for people left out."""
    if "$ref" in schema:
        return _resolve(root["$defs"][schema["$ref"].rpartition("/")[2]], root)
    resolved = {key: value for key, value in schema.items() if key not in FOR_PEOPLE}
    for key in ("anyOf", "prefixItems"):
        if key in resolved:
            resolved[key] = [_resolve(part, root) for part in resolved[key]]
    if isinstance(resolved.get("items"), dict):
        resolved["items"] = _resolve(resolved["items"], root)
    if "properties" in resolved:
        resolved["properties"] = {name: _resolve(part, root) for name, part in resolved["properties"].items()}
    return resolved


def _changes(path: str, old: Schema, new: Schema) -> Iterator[str]:
    if "properties" in old and "properties" in new:
        yield from _changed_fields(path, old, new)
    elif old.get("type") == new.get("type") == "array" and "items" in old and "items" in new:
        yield from _changes(f"{path}[]", old["items"], new["items"])
    else:
        yield from _changed_value(path, old, new)


def _changed_fields(path: str, old: Schema, new: Schema) -> Iterator[str]:
    before, after = old["properties"], new["properties"]
    for name, schema in before.items():
        if name not in after:
            yield f"field {_join(path, name)} was removed"
        else:
            yield from _changes(_join(path, name), schema, after[name])
    was_required, is_required = set(old.get("required", ())), set(new.get("required", ()))
    for name in sorted(is_required - was_required):
        what = "became required" if name in before else "is new and required"
        yield f"field {_join(path, name)} {what}: give it a default, or release a new version"
    for name in sorted(was_required - is_required & set(after)):
        if name in after:
            yield f"field {_join(path, name)} is no longer always there"


def _changed_value(path: str, old: Schema, new: Schema) -> Iterator[str]:
    before, after = _allowed(old), _allowed(new)
    if before is not None and after is not None:
        for gone in sorted(before - after):
            yield f"field {path} no longer allows {gone}"
    elif _describe(old) != _describe(new):
        yield f"field {path} changed from {_describe(old)} to {_describe(new)}"


def _allowed(schema: Schema) -> set[str] | None:
    """The values of an enumeration, `null` among them; None when it is none."""
    if "const" in schema:
        return {json.dumps(schema["const"])}
    if "enum" in schema:
        return {json.dumps(value) for value in schema["enum"]}
    parts = [_allowed(part) if part != {"type": "null"} else {"null"} for part in schema.get("anyOf", ())]
    if not parts or any(part is None for part in parts):
        return None
    return {value for part in parts if part for value in part}


def _describe(schema: Schema) -> str:
    """The type as a person would say it."""
    if "anyOf" in schema:
        return " or ".join(sorted(_describe(part) for part in schema["anyOf"]))
    if (values := _allowed(schema)) is not None:
        return f"one of {', '.join(sorted(values))}"
    described = str(schema.get("type", "anything"))
    limits = {key: value for key, value in schema.items() if key not in NOT_A_LIMIT}
    return f"{described} ({', '.join(f'{key}={value}' for key, value in sorted(limits.items()))})" if limits else described


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
