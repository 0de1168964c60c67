"""Flows as sequence diagrams, drawn from the journals: who said what, who heard it, and what was said because of it.

What follows from one event stands below it, branch by branch, and not in the order in which busy services happened to get to
it: so one flow is drawn the same each time. A diagram shows services, types of events, subscriptions and calls, and nothing of
a person.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from pathlib import Path
from uuid import UUID

from sqlalchemy import text

from broker._database import Database
from broker._service import Service

SAID = text(
    "SELECT id, type, cause, occurred_at, subscriptions FROM backbone.published WHERE flow = ANY (CAST(:flows AS uuid[]))"
)
CALLED = text("SELECT id, name, cause FROM backbone.call WHERE flow = ANY (CAST(:flows AS uuid[]))")
ENDED = text(
    """
    SELECT id, subscription, 'handled' AS state FROM backbone.inbox WHERE id = ANY (CAST(:ids AS uuid[]))
    UNION ALL
    SELECT id, subscription, state FROM backbone.failed_message WHERE id = ANY (CAST(:ids AS uuid[]))
    """
)

HANDLED, ON_ITS_WAY = "handled", "on its way"

HEAD = """# Flows

What follows from what, drawn from the journals of a run. A solid arrow is an event and the subscription that handled it; a note
tells who keeps a copy of a state, or what nobody acts upon; a dotted arrow is a call to the world outside.
"""


@dataclass(frozen=True, slots=True, order=True)
class Heard:
    """What became of an event in a subscription of a service; `copied` where it feeds a replica."""

    service: str
    subscription: str
    copied: bool = False
    state: str = HANDLED
    """As `backbone.failed_message` has it where it was not handled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """An event that a service published, or a call that it made to the world outside.

    id: UUIDv7, made when it was said. cause: the event whose handling said it. at: business time, of events.
    """

    id: UUID
    cause: UUID | None
    service: str
    says: str
    at: datetime | None = None
    heard: tuple[Heard, ...] = ()

    @property
    def is_call(self) -> bool:
        """Whether it goes to the world outside."""
        return self.at is None


async def read_flow(databases: Mapping[Service, Database], *flows: UUID) -> list[Step]:
    """All that was said in these flows, in the order of the diagram. Needs the journal (`Settings.journal`)."""
    said: list[Step] = []
    bound: dict[UUID, Sequence[str]] = {}
    for service, database in databases.items():
        async with database.engine.connect() as connection:
            for row in await connection.execute(SAID, {"flows": list(flows)}):
                said.append(Step(id=row.id, cause=row.cause, service=service.name, says=row.type, at=row.occurred_at))
                bound[row.id] = row.subscriptions
            for row in await connection.execute(CALLED, {"flows": list(flows)}):
                said.append(Step(id=row.id, cause=row.cause, service=service.name, says=row.name))
    heard = await _heard(databases, bound)
    return in_order(
        Step(id=step.id, cause=step.cause, service=step.service, says=step.says, at=step.at, heard=heard.get(step.id, ()))
        for step in said
    )


async def _heard(databases: Mapping[Service, Database], bound: Mapping[UUID, Sequence[str]]) -> dict[UUID, tuple[Heard, ...]]:
    """What became of each event wherever it was bound to arrive."""
    found: dict[UUID, tuple[Heard, ...]] = {}
    for service, database in databases.items():
        copies = {replica.subscription().name for replica in service.replicated}
        async with database.engine.connect() as connection:
            rows = await connection.execute(ENDED, {"ids": list(bound)})
            ended = {(row.id, row.subscription): row.state for row in rows}
        waited = {
            (id_, queue.removeprefix(f"{service.name}."))
            for id_, queues in bound.items()
            for queue in queues
            if queue.startswith(f"{service.name}.")
        }
        for id_, name in sorted(ended.keys() | waited):
            heard = Heard(service.name, name, name in copies, ended.get((id_, name), ON_ITS_WAY))
            found[id_] = (*found.get(id_, ()), heard)
    return found


def in_order(steps: Iterable[Step]) -> list[Step]:
    """Each step after its cause, with all that followed from it before what followed from its next sibling.

    What one handler said keeps its order; of several at once, one service comes after the other by their names.
    """
    following: dict[UUID | None, list[Step]] = {}
    known = {step.id: step for step in steps}
    for step in known.values():
        following.setdefault(step.cause if step.cause in known else None, []).append(step)
    waiting = sorted(following.get(None, ()), key=lambda step: step.id, reverse=True)
    ordered: list[Step] = []
    while waiting:
        step = waiting.pop()
        ordered.append(step)
        waiting += sorted(following.get(step.id, ()), key=lambda each: _place(each, step), reverse=True)
    return ordered


def _place(step: Step, cause: Step) -> tuple[str, str, UUID]:
    """Where a step stands among those of one cause; what handlers of one service said at once, by its type."""
    handlers = sum(heard.service == step.service and not heard.copied for heard in cause.heard)
    return step.service, step.says if handlers > 1 else "", step.id


def sequence(title: str, steps: Sequence[Step], *, times: bool = False) -> str:
    """The diagram in Mermaid; with `times`, business time since the first event stands before each."""
    began = min((step.at for step in steps if step.at is not None), default=None)
    lines = ["sequenceDiagram", f"    title {title.translate(UNSAID)}", *(f"    {line}" for line in _participants(steps))]
    drawn: list[str] = []
    for step in steps:
        when = f"+{_rounded(step.at - began)} " if times and step.at is not None and began is not None else ""
        drawn += _drawn(step, when)
    lines += [f"    {line}" if count == 1 else f"    {line} ({count} ×)" for line, count in _repeated(drawn)]
    return "\n".join(lines) + "\n"


def _repeated(lines: Iterable[str]) -> Iterator[tuple[str, int]]:
    """Each line that differs from the one before, and how often it stands there."""
    yield from ((line, len(list(same))) for line, same in groupby(lines))


UNSAID = str.maketrans({"#": " ", ";": ",", "\n": " "})
"""What ends a line in Mermaid."""


def _participants(steps: Sequence[Step]) -> Iterator[str]:
    """Who takes part, in the order of their first appearance."""
    names: dict[str, None] = {}
    for step in steps:
        names.update(dict.fromkeys([step.service, *(heard.service for heard in step.heard if not heard.copied)]))
    yield from (f"participant {name}" for name in names)
    if any(step.is_call for step in steps):
        yield "participant outside as the world outside"


def _drawn(step: Step, when: str) -> Iterator[str]:
    if step.is_call:
        yield f"{step.service}--)outside: {step.says}"
        return
    acted = [heard for heard in step.heard if not heard.copied]
    copied = [f"{heard.service}{_ended(heard)}" for heard in step.heard if heard.copied]
    for heard in acted:
        yield f"{step.service}-){heard.service}: {when}{step.says}<br/>{heard.subscription}{_ended(heard)}"
    if copied:
        yield f"Note over {step.service}: {when}{step.says}<br/>copied by {', '.join(copied)}"
    elif not acted:
        yield f"Note over {step.service}: {when}{step.says}"


def _ended(heard: Heard) -> str:
    return "" if heard.state == HANDLED else f" ({heard.state})"


def _rounded(time: timedelta) -> str:
    """A duration for people: in the largest unit that it fills."""
    seconds = time.total_seconds()
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.3f} s"


def page(flows: Mapping[str, Sequence[Step]]) -> str:
    """A page in Markdown with a diagram of each flow, by its title."""
    parts = [f"## {title}\n\n```mermaid\n{sequence(title, steps)}```\n" for title, steps in flows.items()]
    return "\n".join([HEAD, *parts])


def write_page(path: Path, flows: Mapping[str, Sequence[Step]]) -> None:
    """Writes that page."""
    path.write_text(page(flows))
