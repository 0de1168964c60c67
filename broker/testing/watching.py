"""Waiting for what a test says of a flow: until it is there, or until it is certain that it never will be.

There is no time after which something is taken for finished. A look at the databases says what goes on by itself; when nothing
does, or nothing of it can, waiting ends at once. A deadline ends only what goes on and on without any change.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar
from uuid import UUID

from broker._clock import clock
from broker._retry import LEASE
from broker._sight import Sight
from broker.testing.deployment import Deployment
from broker.testing.telling import said_of

T = TypeVar("T")

FIRST_PAUSE, LONGEST_PAUSE = 0.005, 0.1
"""Seconds between two looks."""

IN_HAND = LEASE + timedelta(seconds=1)
"""What is tried again later than this waits for a test to move the clock; what is due within may be in somebody's hands."""


class Never(Exception):
    """What is waited for will not come to be; `because` says why."""

    def __init__(self, because: str, sight: Sight) -> None:
        super().__init__(because)
        self.because, self.sight = because, sight


@dataclass(frozen=True, slots=True)
class _Told:
    """How often the world outside and the test have begun to say something, and whether some of it is still being said."""

    begun: list[int]
    goes_on: bool


class Watch:
    """Looks at one flow of a deployment. patience: seconds without any change after which it gives up."""

    def __init__(self, deployment: Deployment, flow: UUID, *, patience: float) -> None:
        self.deployment, self.flow, self.patience = deployment, flow, patience
        self._silent = False
        """Whether nobody said anything from outside during the last look: what was said meanwhile, that may not have seen."""

    async def sight(self) -> Sight:
        """What is known now."""
        sight = self.deployment.flows.sight(self.flow)
        await sight.look()
        return sight

    async def until(self, holds: Callable[[Sight], Awaitable[T | None]]) -> T:
        """What `holds` gives as soon as that is not None. Raises Never."""
        sight, pause = self.deployment.flows.sight(self.flow), FIRST_PAUSE
        told, changed = self._told(), time.monotonic()
        known: object = None
        while True:
            if told != (told := self._told()) or told.goes_on:
                # What is said from outside begins anew in a database that may have been read before.
                sight = self.deployment.flows.sight(self.flow)
            await sight.look()
            self._silent = told == self._told() and not told.goes_on
            value = await holds(sight)
            if value is not None:
                return value
            state = sight.known(), self.deployment.world.owing()
            if state != known:
                known, changed, pause = state, time.monotonic(), FIRST_PAUSE
            because = await self._why_never(sight, time.monotonic() - changed)
            if because is not None:
                # Something may have come and ended between the looks from which this was concluded.
                before, sight = sight.known(), await self.sight()
                value = await holds(sight)
                if value is not None:
                    return value
                if before == sight.known():
                    raise Never(because, sight)
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, LONGEST_PAUSE)

    async def over(self) -> Sight:
        """All that is known of the flow, once it is over. Raises Never when it cannot end."""

        async def ended(sight: Sight) -> Sight | None:
            if not self._silent or sight.open():
                return None
            if _waits(sight):
                if await self._goes_on():
                    return None
                before, sight = sight.known(), await self.sight()
                return sight if before == sight.known() else None
            return sight

        return await self.until(ended)

    def _told(self) -> _Told:
        requests = self.deployment.requests
        begun, ended = requests.begun[str(self.flow)], requests.ended[str(self.flow)]
        return _Told([*self.deployment.world.told(), begun], begun > ended or bool(self.deployment.world.owing()))

    async def _why_never(self, sight: Sight, unchanged: float) -> str | None:
        """Why what is waited for will not come to be; None while it may."""
        immovable = list(self.immovable(sight))
        if self._silent:
            if not sight.open() and not (_waits(sight) and await self._goes_on()):
                kept = (failed for failed in sight.failed if failed.state != "dead")
                waiting = [f"{failed.type} in {failed.queue} {said_of(failed)}" for failed in kept]
                return f"{'; '.join(waiting)}, and nothing is under way" if waiting else "the flow is over"
            if immovable and len(immovable) == sum(sight.open().values()):
                return "; ".join(dict.fromkeys(immovable))
        if unchanged < self.patience:
            return None
        left = [f"{count} {what}" for what, count in sorted(sight.open().items())]
        troubles = await self.deployment.troubles(sight)
        reasons = dict.fromkeys((*left, *immovable, *self.deployment.world.owing(), *troubles))
        return f"nothing changed for {self.patience:.0f} s: {', '.join(reasons)}"

    async def _goes_on(self) -> bool:
        """Whether anything does, in any flow: what waits for it is not stuck."""
        everything = self.deployment.flows.sight()
        await everything.look()
        moving = sum(everything.open().values()) - len(list(self.immovable(everything)))
        return moving > 0 or bool(self.deployment.world.owing())

    def immovable(self, sight: Sight) -> Iterator[str]:
        """Why each thing that is open, and cannot move by itself, does not."""
        is_up = self.deployment.is_up
        for event in sight.said:
            if event.sent is None and not is_up(event.service):
                yield f"{event.type} is in the outbox of {event.service}, which is not running"
        for owed in sight.owed:
            service = owed.queue.partition(".")[0]
            if not is_up(service):
                yield f"{owed.event.type} lies in {owed.queue}, and {service} is not running"
        for planned in sight.planned:
            if planned.is_due and not is_up(planned.service):
                yield f"{planned.type} is due, and {planned.service} is not running"
        for call in sight.called:
            if call.is_open and not is_up(call.service):
                yield f"{call.name} is to be called by {call.service}, which is not running"
        for failed in sight.failed:
            if failed.state == "retrying":
                if not is_up(failed.service):
                    yield f"{failed.queue} tries {failed.type} again, and {failed.service} is not running"
                elif failed.due_at is not None and failed.due_at - clock.now() > IN_HAND:
                    yield f"{failed.queue}: {failed.type} {said_of(failed)}: move the clock with flow.advance"


def _waits(sight: Sight) -> bool:
    """Whether something in the flow waits for what may come from anywhere."""
    return any(failed.state != "dead" for failed in sight.failed)
