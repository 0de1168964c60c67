"""Sequence diagrams: what stands where, and that a flow is drawn the same each time."""

from __future__ import annotations

import types
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.orm import DeclarativeBase, Mapped

from broker import Replica, Service
from broker._context import uuid7
from broker._database import Database, engine_for
from broker._sequences import Heard, Step, in_order, page, read_flow, sequence, write_page
from broker.testing.scratch import Databases
from contracts.event import StateEvent

BEGAN = datetime(2026, 3, 1, 8, tzinfo=UTC)

ORDERED = Step(
    id=uuid7(),
    cause=None,
    service="kitchen",
    says="meal.ordered",
    at=BEGAN,
    heard=(Heard("office", "charge"), Heard("ward", "prepare")),
)
COOKED = Step(
    id=uuid7(),
    cause=None,
    service="kitchen",
    says="meal.changed",
    at=BEGAN,
    heard=(Heard("ward", "meal_reference", copied=True),),
)
CHARGED = Step(id=uuid7(), cause=ORDERED.id, service="office", says="meal.charged", at=BEGAN + timedelta(hours=24))
CALLED = Step(id=uuid7(), cause=ORDERED.id, service="office", says="print_bill")
PREPARED = Step(
    id=uuid7(),
    cause=ORDERED.id,
    service="ward",
    says="table.laid",
    at=BEGAN + timedelta(milliseconds=20),
    heard=(Heard("kitchen", "serve", state="dead"),),
)
SERVED = Step(id=uuid7(), cause=PREPARED.id, service="kitchen", says="meal.served", at=BEGAN)
DAY = [ORDERED, CHARGED, CALLED, PREPARED, SERVED, COOKED]

DRAWN = """\
sequenceDiagram
    title A meal, eaten
    participant kitchen
    participant office
    participant ward
    participant outside as the world outside
    kitchen-)office: meal.ordered<br/>charge
    kitchen-)ward: meal.ordered<br/>prepare
    Note over office: meal.charged
    office--)outside: print_bill
    ward-)kitchen: table.laid<br/>serve (dead)
    Note over kitchen: meal.served
    Note over kitchen: meal.changed<br/>copied by ward
"""


@given(st.permutations(DAY))
def test_one_flow_is_drawn_in_one_way(steps: list[Step]) -> None:
    """Branch by branch, in whatever order the databases gave its parts."""
    assert in_order(steps) == DAY


def test_what_handlers_of_one_service_said_at_once() -> None:
    """Which of them came first differs from run to run: their types say who stands first."""
    both = Step(id=uuid7(), cause=None, service="a", says="x", at=BEGAN, heard=(Heard("b", "one"), Heard("b", "two")))
    late, early = (Step(id=uuid7(), cause=both.id, service="b", says=says, at=BEGAN) for says in ("z", "y"))
    assert in_order([both, late, early]) == [both, early, late]
    alone = Step(
        id=both.id, cause=None, service="a", says="x", at=BEGAN, heard=(Heard("b", "one"), Heard("b", "two", copied=True))
    )
    assert in_order([alone, early, late]) == [alone, late, early]


def test_a_cause_of_another_flow_is_none_here() -> None:
    """What it led to begins a branch of its own."""
    assert in_order([SERVED, CHARGED]) == [CHARGED, SERVED]


def test_a_diagram() -> None:
    """Arrows for what was handled, notes for copies and for what nobody acts upon, and how else it ended."""
    assert sequence("A meal; eaten", DAY) == DRAWN


def test_times_are_shown_when_asked_for() -> None:
    """Business time since the first event, in a unit for people."""
    drawn = sequence("A meal", DAY, times=True)
    assert "Note over office: +1 d meal.charged" in drawn
    assert "ward-)kitchen: +0.020 s table.laid<br/>serve (dead)" in drawn
    assert "office--)outside: print_bill" in drawn


def test_a_page(tmp_path: Path) -> None:
    """Each flow under its title, and the same page for a run with other ids and times."""
    write_page(tmp_path / "flows.md", {"A meal; eaten": DAY})
    written = (tmp_path / "flows.md").read_text()
    assert f"## A meal; eaten\n\n```mermaid\n{DRAWN}```\n" in written
    ids = {step.id: uuid7() for step in DAY}
    again = [
        Step(
            id=ids[step.id],
            cause=None if step.cause is None else ids[step.cause],
            service=step.service,
            says=step.says,
            at=step.at and step.at + timedelta(days=1),
            heard=step.heard,
        )
        for step in DAY
    ]
    assert page({"A meal; eaten": again}) == written


class MealChanged(StateEvent, name="meal.changed", version=1, key="meal_id", publisher="kitchen"):
    """A meal."""

    meal_id: UUID


class Base(DeclarativeBase):
    """The ward's tables."""


class MealReference(Replica[MealChanged], Base):
    """A copy of a meal."""

    __tablename__ = "meal_reference"

    facility_id: Mapped[UUID]

    @classmethod
    def kept(cls, event: MealChanged) -> dict[str, Any]:
        return {"facility_id": event.meal_id}


replicas = types.ModuleType("replicas_under_test")
MealReference.__module__ = replicas.__name__
replicas.MealReference = MealReference  # type: ignore[attr-defined]
nothing = types.ModuleType("contracts_under_test")
kitchen = Service(name="kitchen", port=0, contracts=nothing)
ward = Service(name="ward", port=0, contracts=nothing, replicas=replicas)


@pytest.fixture
async def databases(database: Databases) -> AsyncIterator[dict[Service, Database]]:
    """Of one who publishes and one who hears."""
    made = {service: Database(engine_for(await database()), service.name) for service in (kitchen, ward)}
    yield made
    for each in made.values():
        await each.close()


async def run(database: Database, statement: str, **values: Any) -> None:
    async with database.engine.begin() as connection:
        await connection.execute(text(statement), values)


async def test_a_flow_is_read_from_the_journals(databases: dict[Service, Database]) -> None:
    """What was said with its cause, what was called, and what became of it: handled, copied, dead, or on its way."""
    flow, said, meant, called = uuid7(), uuid7(), uuid7(), uuid7()
    published = """
        INSERT INTO backbone.published (id, position, type, key, sequence, flow, cause, occurred_at, subscriptions)
        VALUES (:id, 1, :type, 'k', 1, :flow, :cause, :at, :subscriptions)
    """
    bound = ["ward.meal_reference", "ward.prepare", "ward.taste", "elsewhere.hear"]
    await run(databases[kitchen], published, id=said, type="meal.changed", flow=flow, cause=None, at=BEGAN, subscriptions=bound)
    await run(databases[ward], published, id=meant, type="table.laid", flow=flow, cause=said, at=BEGAN, subscriptions=[])
    await run(
        databases[kitchen], published, id=uuid7(), type="meal.changed", flow=uuid7(), cause=None, at=BEGAN, subscriptions=[]
    )
    await run(
        databases[ward],
        """
        INSERT INTO backbone.call (id, name, key, state, request, due_at, flow, cause, created_at)
        VALUES (:id, 'print_bill', 'k', 'answered', '{}', now(), :flow, :cause, now())
        """,
        id=called,
        flow=flow,
        cause=said,
    )
    handled = "INSERT INTO backbone.inbox (id, subscription, key) VALUES (:id, 'meal_reference', 'k')"
    await run(databases[ward], handled, id=said)
    await run(
        databases[ward],
        """
        INSERT INTO backbone.failed_message (subscription, id, state, type, version, key, sequence, flow, exchange,
            routing_key, properties, body, error, reason, attempts, first_failed_at, last_failed_at)
        VALUES ('prepare', :id, 'dead', 'meal.changed', 1, 'k', 1, :flow, 'kitchen', '', '{}', '', 'E', '', 1, now(), now())
        """,
        id=said,
        flow=flow,
    )
    heard = (
        Heard("ward", "meal_reference", copied=True),
        Heard("ward", "prepare", state="dead"),
        Heard("ward", "taste", state="on its way"),
    )
    assert await read_flow(databases, flow) == [
        Step(id=said, cause=None, service="kitchen", says="meal.changed", at=BEGAN, heard=heard),
        Step(id=called, cause=said, service="ward", says="print_bill"),
        Step(id=meant, cause=said, service="ward", says="table.laid", at=BEGAN),
    ]
