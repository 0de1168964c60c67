"""Reading Synthea's files: every row is either taken as something typed, or refused with a reason that names the column."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TypeVar
from uuid import UUID

T = TypeVar("T")


class FolderUnusable(Exception):
    """The folder cannot be loaded at all; the message says why and what to do."""


class RowRefused(Exception):
    """A row cannot be taken. The message names the column and what is wrong, never the value: it may be personal."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row of one file. `line` counts as an editor does, the header is line 1."""

    file: str
    line: int
    values: dict[str, str]

    def text(self, column: str) -> str:
        """A value that must be there."""
        value = (self.values.get(column) or "").strip()
        if not value:
            raise RowRefused(f"{column} is empty")
        return value

    def _as(self, column: str, parse: Callable[[str], T], what: str) -> T:
        try:
            return parse(self.text(column))
        except (ValueError, InvalidOperation):
            raise RowRefused(f"{column} is not {what}") from None

    def id(self, column: str) -> UUID:
        """A UUID."""
        return self._as(column, UUID, "a UUID")

    def day(self, column: str) -> date:
        """A date, as in 2014-10-06."""
        return self._as(column, date.fromisoformat, "a date")

    def optional_day(self, column: str) -> date | None:
        """A date, or nothing."""
        return self.day(column) if self.values.get(column) else None

    def time(self, column: str) -> datetime:
        """A point in time, as in 2023-01-27T16:17:47Z."""
        time = self._as(column, datetime.fromisoformat, "a time")
        return time if time.tzinfo else time.replace(tzinfo=UTC)

    def optional_time(self, column: str) -> datetime | None:
        """A point in time, or nothing."""
        return self.time(column) if self.values.get(column) else None

    def number(self, column: str) -> Decimal:
        """A decimal number."""
        number = self._as(column, Decimal, "a number")
        if not number.is_finite():
            raise RowRefused(f"{column} is not a number")
        return number


def read(folder: Path, name: str, needed: tuple[str, ...]) -> Iterator[Row]:
    """The rows of `<name>.csv`. Raises FolderUnusable when the file, or one of the columns needed, is not there."""
    path = folder / f"{name}.csv"
    if not path.is_file():
        raise FolderUnusable(f"{path} is not there: --synthea wants the folder that Synthea wrote its CSV files to")
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        missing = [column for column in needed if column not in (reader.fieldnames or ())]
        if missing:
            raise FolderUnusable(f"{path} lacks the column {missing[0]}: is it a file of Synthea's?")
        try:
            for values in reader:
                yield Row(path.name, reader.line_num, values)
        except (csv.Error, UnicodeDecodeError) as broken:
            raise FolderUnusable(f"{path} cannot be read as CSV after line {reader.line_num}") from broken
