"""`flow`: how a test says what follows from a command, across services, and what does not.

    async with flow.started_by(client.post("/invoices", json=asked)) as f:
        issued = await f.published(InvoiceIssued, by="billing").once()
        await f.handled(issued, by=["payment", "ehr"])
        f.never(InvoiceVoided)

Leaving the block waits until the flow is over, and fails unless all that was said of it holds, nothing is stuck and no dead
letter is there that was not expected.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

from broker._context import cause_in_hand
from broker._recordings import read
from broker._sequences import read_flow, sequence
from broker._sight import Sight
from broker.testing import faults
from broker.testing.deployment import Deployment
from broker.testing.disorder import disordered
from broker.testing.published import Published
from broker.testing.replaying import Replay
from broker.testing.stand_ins import stand_in_for, tell
from broker.testing.started import Started
from contracts.event import Event, StateEvent

E = TypeVar("E", bound=Event)


class Flow:
    """What a test may do with a deployment; `started_by` begins a flow.

    name: of the test. patience: seconds without any change after which a flow is given up. diagrams: where to draw flows that
    fail.
    """

    def __init__(self, deployment: Deployment, *, name: str, patience: float = 30.0, diagrams: Path | None = None) -> None:
        self.deployment = deployment
        self.name = name
        self._patience, self._diagrams = patience, diagrams

    def started_by(self, *commands: Awaitable[Any]) -> Started:
        """The flow of these commands, which are awaited one after the other; and of all that is asked for in the block."""
        return Started(self.deployment, commands, name=self.name, patience=self._patience, draw=self.draw)

    async def told(self, event: E, *, gone: bool = False) -> Published[E]:
        """Has the stand-in of its publisher say an event, in the flow of the block; elsewhere in a flow that is over then.

        A state gets the version that follows, and with `gone` is the last word on what is no more.
        Raises TypeError for what no stand-in can say.
        """
        service = stand_in_for(type(event), self.deployment.services)
        if cause_in_hand() is None:
            async with self.started_by():
                return await self.told(event, gone=gone)
        id_, said = await tell(self.deployment.databases[service.name], service, event, is_gone=gone)
        return Published(said, id_, service.name)

    @asynccontextmanager
    async def replayed(
        self,
        recording: Path,
        *,
        to: Sequence[str] | None = None,
        ids: Mapping[str, UUID] | None = None,
        presuming: Iterable[StateEvent] = (),
    ) -> AsyncIterator[Started]:
        """The flow of a recording: inside, stand-ins have said what others said in it, about new ids, at today's times.

        In the end each of the services `to`, all under test where none are named, has to have said as much of each type because
        of each type as in the recording. ids: what stands for ids of the recording, by these. presuming: states that are said
        before, each for every aggregate of its kind of which the recording speaks without saying its state.
        Raises TypeError for a service that is not under test, RecordingError, OSError.
        """
        replay = Replay(self.deployment, read(recording), to=to, ids=ids, presuming=presuming)
        for state in replay.presumed():
            await self.told(state)
        async with self.started_by() as started:
            await replay.say(started.compared_with(replay))
            yield started

    async def advance(self, **by: float) -> None:
        """Moves business time in every process: `advance(hours=1)`, as timedelta's arguments."""
        await self.deployment.flows.move_clock(timedelta(**by))

    @asynccontextmanager
    async def down(self, *services: str) -> AsyncIterator[None]:
        """Inside, these services are switched off."""
        async with faults.down(self.deployment, services):
            yield

    @contextmanager
    def without_broker(self) -> Iterator[None]:
        """Inside, no service reaches RabbitMQ; what was on its way is lost."""
        with faults.without_broker(self.deployment):
            yield

    @asynccontextmanager
    async def without_database(self, service: str) -> AsyncIterator[None]:
        """Inside, a service cannot reach its database; what it had open there is cut."""
        async with faults.without_database(self.deployment, service):
            yield

    @contextmanager
    def failing(self, queue: str, error: Exception, *, times: int) -> Iterator[None]:
        """Inside, the handler of a queue's subscription raises this, so many times, after it has done its work."""
        with faults.failing(self.deployment, queue, error, times=times):
            yield

    @asynccontextmanager
    async def late(self, queue: str) -> AsyncIterator[None]:
        """Inside, a subscription gets nothing of what comes into its queue; at the end all of it."""
        async with faults.late(self.deployment, queue):
            yield

    @asynccontextmanager
    async def disordered(self, queue: str) -> AsyncIterator[None]:
        """Inside, a service is switched off; at the end it gets what has come into this queue meanwhile, the last first."""
        async with disordered(self.deployment, queue):
            yield

    async def draw(self, sight: Sight) -> None:
        """Writes the flow's diagram, where that was asked for."""
        if self._diagrams is not None and sight.flow is not None:
            databases = {service: self.deployment.databases[name] for name, service in self.deployment.services.items()}
            self._diagrams.mkdir(parents=True, exist_ok=True)
            name = "".join(sign if sign.isalnum() else "-" for sign in self.name)
            steps = await read_flow(databases, sight.flow)
            (self._diagrams / f"{name}.mmd").write_text(sequence(self.name, steps, times=True))
