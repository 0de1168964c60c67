"""Observations of the laboratory, put together to the orders that they answer: one per encounter and time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from nilecare.synthea.read import Row, RowRefused
from nilecare.synthea.report import Report
from services.lab.commands import Measured


@dataclass(frozen=True, slots=True)
class Result:
    """One test of an order, and what it showed."""

    row: Row
    code: str
    name: str
    unit: str
    measured: Measured


@dataclass(frozen=True, slots=True)
class Order:
    """Tests that were done together."""

    patient_id: UUID
    encounter_id: UUID
    at: datetime
    results: list[Result] = field(default_factory=list)


def orders_in(rows: Iterable[Row], report: Report) -> list[Order]:
    """The orders; a row that belongs to none is refused in the report."""
    orders: dict[tuple[UUID, UUID, datetime], Order] = {}
    for row in rows:
        try:
            result = _result(row)
            key = row.id("PATIENT"), row.id("ENCOUNTER"), row.time("DATE")
            order = orders.setdefault(key, Order(*key))
            if any(result.code == other.code for other in order.results):
                raise RowRefused("CODE stands twice in one encounter at one time")
            order.results.append(result)
        except RowRefused as refused:
            report.refuse(row, str(refused))
    return [order for order in orders.values() if order.results]


def _result(row: Row) -> Result:
    category = row.values.get("CATEGORY") or "empty"
    if category != "laboratory":
        raise RowRefused(f"CATEGORY is {category}: the lab takes only laboratory")
    unit = row.values.get("UNITS") or "1"
    if row.values.get("TYPE") == "numeric":
        measured = Measured(value=row.number("VALUE"), unit=unit)
    else:
        measured = Measured(text_value=row.text("VALUE"))
    return Result(row, row.text("CODE"), row.text("DESCRIPTION"), unit, measured)
