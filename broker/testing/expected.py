"""What a test says of a flow that is looked at in its end, and what of it is not so."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from broker._clock import clock
from broker._sight import Failed, Sight
from broker.testing.deployment import Deployment
from broker.testing.published import Publications
from broker.testing.replaying import Replay
from broker.testing.telling import ahead, said_of

Place = UUID | tuple[UUID, str] | None
"""An event of the flow, or what became of it in a queue; None for what is nowhere in it."""


@dataclass(frozen=True, slots=True)
class Wrong:
    """Something that is not as the test says: in words, and where. mark: what stands at that place."""

    what: str
    at: Place = None
    mark: str = ""


@dataclass(frozen=True, slots=True)
class Count:
    """That there are so many of these in the end."""

    publications: Publications[Any]
    times: int


@dataclass(frozen=True, slots=True)
class Plan:
    """That this will be published when its time has come, which is so near."""

    type: str
    within: timedelta


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A dead letter that the test is about."""

    queue: str
    error: str | None

    def is_met_by(self, failed: Failed) -> bool:
        """Whether this is the one."""
        return failed.state == "dead" and failed.queue == self.queue and self.error in (None, failed.error)


@dataclass(slots=True)
class Expected:
    """All that a test says of the end of a flow."""

    counts: list[Count] = field(default_factory=list)
    never: list[Publications[Any]] = field(default_factory=list)
    plans: list[Plan] = field(default_factory=list)
    dead: list[DeadLetter] = field(default_factory=list)
    given_up: set[str] = field(default_factory=set)
    replays: list[Replay] = field(default_factory=list)

    async def wrong(self, sight: Sight, deployment: Deployment) -> AsyncIterator[Wrong]:
        """What is not as the test says in a flow that is over."""
        for count in self.counts:
            found = await count.publications.among_all(sight)
            for surplus in found[count.times :]:
                what = f"{count.publications} was published {len(found)} times, not {count.times}"
                yield Wrong(what, surplus.id, "one too many")
        for publications in self.never:
            for event in await publications.among_all(sight):
                yield Wrong(f"{publications} was published, and must not be", event.id, "must not be")
        async for wrong in self._failures(sight, deployment):
            yield wrong
        for replay in self.replays:
            for difference in replay.differences(sight):
                yield Wrong(difference)
        for said, breach in await deployment.broken_promises(sight):
            yield Wrong(f"{said.type} by {said.service}: {breach}", said.id, breach)
        for each in self._plans(sight):
            yield Wrong(each)
        for call in sight.called:
            if (call.state == "given_up" or call.is_left) and call.name not in self.given_up:
                yield Wrong(f"{call.service} has given up its call {call.name}: {call.error}")

    async def _failures(self, sight: Sight, deployment: Deployment) -> AsyncIterator[Wrong]:
        for expected in self.dead:
            if not any(expected.is_met_by(failed) for failed in sight.failed):
                yield Wrong(f"no dead letter{f' for {expected.error}' if expected.error else ''} in {expected.queue}")
        met = [failed for failed in sight.failed if any(expected.is_met_by(failed) for expected in self.dead)]
        keys = {(failed.queue, failed.key) for failed in met}
        for failed in sight.failed:
            if (failed.queue, failed.key) in keys and failed.state in ("dead", "held"):
                continue
            behind = await deployment.first_failed(failed.queue, failed.key) if failed.state == "held" else None
            at = None if failed.id is None else (failed.id, failed.queue)
            yield Wrong(f"{failed.type} in {failed.queue} {said_of(failed, behind)}", at, "not expected")

    def _plans(self, sight: Sight) -> Iterator[str]:
        published = {event.type for event in sight.said}
        for plan in self.plans:
            until = clock.now() + plan.within
            fits = any(planned.type == plan.type and planned.due_at <= until for planned in sight.planned)
            if not fits and plan.type not in published:
                yield f"{plan.type} is not planned within the time that was said"
        declared = {plan.type for plan in self.plans}
        for planned in sight.planned:
            if planned.type not in declared:
                when = ahead(planned.due_at)
                yield f"{planned.type} waits for its time ({when}): say so with scheduled(…), or advance the clock"
