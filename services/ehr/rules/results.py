"""What a result said before it was corrected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from contracts.lab import Flag, ResultStatus


class Entry(Protocol):
    """What the lab said of a result, once; a correction says what was there before."""

    @property
    def value(self) -> Decimal | None: ...
    @property
    def text_value(self) -> str | None: ...
    @property
    def flag(self) -> Flag | None: ...
    @property
    def status(self) -> ResultStatus: ...
    @property
    def resulted_at(self) -> datetime: ...
    @property
    def previous_value(self) -> Decimal | None: ...
    @property
    def previous_text_value(self) -> str | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a result said before it was corrected; flag and time are None while only the correction tells of it."""

    value: Decimal | None
    text_value: str | None
    flag: Flag | None
    resulted_at: datetime | None


def predecessors(entries: Sequence[Entry]) -> list[Said]:
    """What a result said before its last entry, the oldest first: no correction stands without what it corrects.

    Where that has not arrived (yet), the correction itself tells the value. Source: 42 CFR 493.1291(k), corrected reports.
    """
    found: list[Said] = []
    for entry in entries:
        if entry.status == "corrected" and not (found and _corrects(entry, found[-1])):
            found.append(_told_by(entry))
        found.append(Said(value=entry.value, text_value=entry.text_value, flag=entry.flag, resulted_at=entry.resulted_at))
    return found[:-1]


def _corrects(entry: Entry, before: Said) -> bool:
    return (entry.previous_value, entry.previous_text_value) == (before.value, before.text_value)


def _told_by(entry: Entry) -> Said:
    return Said(value=entry.previous_value, text_value=entry.previous_text_value, flag=None, resulted_at=None)
