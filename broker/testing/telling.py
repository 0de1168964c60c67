"""A flow told to who reads a failed test: what caused what, when, what became of it, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from broker._clock import clock
from broker._sight import Called, Failed, Planned, Said, Sight


@dataclass(slots=True)
class _Branch:
    """A line of the tree, and what stands below it."""

    line: str
    below: list[_Branch]


class Tree:
    """A flow as a tree: events, what each subscription made of them, and what was said and asked because of it.

    marked: by the id of an event, or by its id and a queue, what is wrong there. missing: what should be in it.
    """

    def __init__(self, sight: Sight, marked: Mapping[UUID | tuple[UUID, str], str], missing: Sequence[str] = ()) -> None:
        self._sight, self._marked, self._missing = sight, marked, missing
        self._events = {event.id: event for event in sight.said}
        self._failed = {(failed.id, failed.queue): failed for failed in sight.failed}
        self._handled = {(handled.id, handled.queue): handled for handled in sight.handled}
        self._began = min((event.wall_time for event in sight.said), default=None)

    def __str__(self) -> str:
        roots = [event for event in self._sight.said if event.cause not in self._events]
        told = [self._event(event) for event in roots]
        told += [self._planned(each) for each in self._sight.planned if each.cause not in self._events]
        told += [self._called(each) for each in self._sight.called if each.cause not in self._events]
        told += [_Branch(f"✗ {each}   ◀ missing", []) for each in self._missing]
        if not told:
            return "  (nothing was said in this flow)"
        return "\n".join(line for branch in told for line in _lines(branch, "", ""))

    def _event(self, event: Said) -> _Branch:
        unsent = ", in the outbox, not sent" if event.sent is None else ""
        line = f"{event.type}  by {event.service}  {self._when(event.wall_time)}{unsent}{self._mark(event.id)}"
        queues = dict.fromkeys((*event.queues, *(queue for id_, queue in self._failed if id_ == event.id)))
        below = [self._outcome(event, queue) for queue in queues]
        if event.sent is not None and not queues:
            line += "  (nobody subscribes)"
        by_others = [each for each in self._caused(event) if each.service not in {queue.partition(".")[0] for queue in queues}]
        return _Branch(line, [*below, *(self._event(each) for each in by_others)])

    def _outcome(self, event: Said, queue: str) -> _Branch:
        service = queue.partition(".")[0]
        mark = self._mark((event.id, queue))
        handled, failed = self._handled.get((event.id, queue)), self._failed.get((event.id, queue))
        if handled is not None:
            line = f"{queue}: took effect {self._when(handled.at)}{mark}"
        elif failed is not None:
            line = f"{queue}: {said_of(failed)}{mark}{_where(failed)}"
        else:
            line = f"{queue}: on its way{mark}"
        # Which of a service's handlers said it is not kept: what it said stands below its first.
        first = next(each for each in (*event.queues, queue) if each.partition(".")[0] == service)
        return _Branch(line, self._followed(event, service) if queue == first else [])

    def _followed(self, event: Said, service: str) -> list[_Branch]:
        said = [self._event(each) for each in self._caused(event) if each.service == service]
        planned = [each for each in self._sight.planned if (each.cause, each.service) == (event.id, service)]
        called = [each for each in self._sight.called if (each.cause, each.service) == (event.id, service)]
        return [*said, *map(self._planned, planned), *map(self._called, called)]

    def _caused(self, event: Said) -> list[Said]:
        return [each for each in self._sight.said if each.cause == event.id]

    def _planned(self, planned: Planned) -> _Branch:
        return _Branch(f"{planned.type}  planned by {planned.service}, due {ahead(planned.due_at)}", [])

    def _called(self, call: Called) -> _Branch:
        error = f" ({call.error})" if call.error else ""
        state = "left unknown, to a person" if call.is_left and call.state == "unknown" else call.state
        return _Branch(f"{call.service} asked the world outside: {call.name}: {state}{error}", [])

    def _when(self, moment: datetime) -> str:
        return f"+{(moment - (self._began or moment)).total_seconds() * 1000:.0f} ms"

    def _mark(self, at: UUID | tuple[UUID, str]) -> str:
        return f"   ◀ {self._marked[at]}" if at in self._marked else ""


def said_of(failed: Failed, behind: Failed | None = None) -> str:
    """What became of a message that could not be handled, in one line. behind: what holds it back."""
    after = f" after {failed.attempts} attempts" if failed.attempts > 1 else ""
    what = f"{failed.error}: {failed.reason}"
    match failed.state:
        case "waiting":
            return f"waits for {failed.waits_for} {failed.waits_key or ''}".rstrip()
        case "held":
            first = f"{behind.type} {behind.id}, which {said_of(behind)}" if behind else "an earlier message of its key"
            return f"is held behind {first}"
        case "retrying":
            due = f", due {ahead(failed.due_at)}" if failed.due_at else ""
            return f"is tried again{due}{after}: {what}"
        case _:
            return f"is a dead letter{after}: {what}"


def _where(failed: Failed) -> str:
    """Where the exception was raised, below the line that tells it."""
    return "".join(f"\n    {line.strip()}" for line in failed.stack.splitlines()[-4:-1]) if failed.state == "dead" else ""


def ahead(moment: datetime) -> str:
    """How far a moment of business time lies ahead: `in 30 days`."""
    left = moment - clock.now()
    if left <= timedelta():
        return "now"
    for unit, length in (("days", 86400), ("h", 3600), ("min", 60)):
        if left.total_seconds() >= 2 * length:
            return f"in {left.total_seconds() / length:.0f} {unit}"
    return f"in {left.total_seconds():.0f} s"


def listed(names: Iterable[str], nothing: str = "nothing") -> str:
    """Words, one after the other."""
    return ", ".join(names) or nothing


def _lines(branch: _Branch, first: str, other: str) -> Iterator[str]:
    head, *more = branch.line.splitlines()
    yield first + head
    yield from (other + line for line in more)
    for number, each in enumerate(branch.below, 1):
        last = number == len(branch.below)
        yield from _lines(each, other + ("└─ " if last else "├─ "), other + ("   " if last else "│  "))


def report(wrong: Sequence[str], flow: UUID, tree: Tree) -> str:
    """The text of a failure."""
    head = (
        wrong[0] if len(wrong) == 1 else "\n".join(["this flow is not what the test says:", *(f"  - {each}" for each in wrong)])
    )
    return f"{head}\n\nflow {flow}:\n{tree}"
