"""`flow`: how a test says what follows from a command, across services, and what does not.

    async with flow.started_by(client.post("/invoices", json=asked)) as f:
        issued = await f.published(InvoiceIssued, by="billing").once()
        await f.handled(issued, by=["payment", "ehr"])
        f.never(InvoiceVoided)

Leaving the block waits until the flow is over, and fails unless all that was said of it holds, nothing is stuck and no dead
letter is there that was not expected.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from contextvars import Token
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Self, TypeVar
from uuid import UUID

from broker._clock import clock
from broker._context import Cause, _current, cause_in_hand, uuid7
from broker._http import FLOW
from broker._recordings import read
from broker._replicas import Replica
from broker._sequences import read_flow, sequence
from broker._sight import Called, Failed, Said, Sight
from broker._verdicts import State
from broker.testing import faults
from broker.testing.deployment import Deployment
from broker.testing.errors import FlowFailed
from broker.testing.replaying import Replay
from broker.testing.stand_ins import stand_in_for, tell
from broker.testing.telling import Tree, ahead, report, said_of
from broker.testing.watching import Never, Watch
from contracts.event import Event, StateEvent

E = TypeVar("E", bound=Event)


class Flow:
    """What a test may do with a deployment; `started_by` begins a flow.

    name: of the test. patience: seconds without any change after which a flow is given up. diagrams: where to draw flows that
    fail.
    """

    def __init__(self, deployment: Deployment, *, name: str, patience: float = 30.0, diagrams: Path | None = None) -> None:
        self.deployment = deployment
        self._name, self._patience, self._diagrams = name, patience, diagrams

    def started_by(self, *commands: Awaitable[Any]) -> Started:
        """The flow of these commands, which are awaited one after the other; and of all that is asked for in the block."""
        return Started(self, commands, patience=self._patience)

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

    async def draw(self, sight: Sight) -> None:
        """Writes the flow's diagram, where that was asked for."""
        if self._diagrams is not None and sight.flow is not None:
            databases = {service: self.deployment.databases[name] for name, service in self.deployment.services.items()}
            self._diagrams.mkdir(parents=True, exist_ok=True)
            name = "".join(sign if sign.isalnum() else "-" for sign in self._name)
            steps = await read_flow(databases, sight.flow)
            (self._diagrams / f"{name}.mmd").write_text(sequence(self._name, steps, times=True))


@dataclass(frozen=True, slots=True)
class Published(Generic[E]):
    """An event that a service published, and the message it travelled in."""

    event: E
    id: UUID
    service: str


@dataclass(frozen=True, slots=True)
class _Count:
    """That there are so many of these in the end."""

    publications: Publications[Any]
    times: int


@dataclass(frozen=True, slots=True)
class _Plan:
    """That this will be published when its time has come, which is so near."""

    type: str
    within: timedelta


@dataclass(slots=True)
class _Expected:
    """A dead letter that the test is about."""

    queue: str
    error: str | None
    met: bool = False

    def is_met_by(self, failed: Failed) -> bool:
        """Whether this is the one."""
        return failed.state == "dead" and failed.queue == self.queue and self.error in (None, failed.error)


@dataclass(slots=True)
class _Said:
    """What a test says of a flow that is looked at in the end."""

    counts: list[_Count] = field(default_factory=list)
    never: list[Publications[Any]] = field(default_factory=list)
    plans: list[_Plan] = field(default_factory=list)
    dead: list[_Expected] = field(default_factory=list)
    given_up: set[str] = field(default_factory=set)
    replays: list[Replay] = field(default_factory=list)


class Started:
    """A flow under way. `results` are what its commands gave."""

    def __init__(self, flow: Flow, commands: Sequence[Awaitable[Any]], *, patience: float) -> None:
        self.id = uuid7()
        self.deployment = flow.deployment
        self.results: list[Any] = []
        self._flow, self._commands = flow, commands
        self._watch = Watch(flow.deployment, self.id, patience=patience)
        self._said = _Said()
        self._token: Token[Cause | None] | None = None

    @property
    def result(self) -> Any:
        """What its one command gave."""
        [result] = self.results
        return result

    async def __aenter__(self) -> Self:
        self._token = _current.set(Cause(flow=self.id))
        try:
            for command in self._commands:
                self.results.append(await command)
                self._check_flow(self.results[-1])
        except BaseException:
            _current.reset(self._token)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._token is not None
        _current.reset(self._token)
        if error is None:
            await self.over()
        elif not isinstance(error, FlowFailed) and isinstance(error, Exception):
            sight = await self._watch.sight()
            await self._flow.draw(sight)
            error.add_note(f"flow {self.id}:\n{Tree(sight, {})}")

    def published(self, contract: type[E], *, by: str | None = None, **fields: object) -> Publications[E]:
        """The events of a contract in this flow: by one service, and with these values in its fields, where given."""
        return Publications(self, contract, by, fields)

    async def handled(self, published: Published[Any] | Iterable[Published[Any]], *, by: str | Iterable[str]) -> None:
        """Returns when these services, or queues, have handled an event: every subscription of a service that heard it."""
        events = [published] if isinstance(published, Published) else list(published)
        for each in [by] if isinstance(by, str) else by:
            for event in events:
                await self._handled(event, each)

    async def called(self, name: str, *, by: str | None = None, state: str) -> Called:
        """A call to the world outside, as soon as it is in this state: `unknown` when its answer was lost, for one."""

        async def is_so(sight: Sight) -> Called | None:
            calls = (call for call in sight.called if call.name == name and by in (None, call.service))
            return next((call for call in calls if call.state == state), None)

        call: Called = await self.until(is_so, f"the call {name} is to be {state}")
        return call

    async def waits(self, queue: str, *, for_: object) -> Failed:
        """A message that a subscription cannot handle before what has this key is there, as soon as it is kept."""
        self.deployment.check_queue(queue)

        async def is_kept(sight: Sight) -> Failed | None:
            waiting = (failed for failed in sight.failed if failed.queue == queue and failed.state == "waiting")
            return next((failed for failed in waiting if failed.waits_key == str(for_)), None)

        failed: Failed = await self.until(is_kept, f"a message in {queue} is to wait for {for_}")
        return failed

    async def kept(self, published: Published[Any], *, by: str, state: State) -> None:
        """Returns when a queue's subscription keeps an event that it could not handle (yet), in this state."""
        self.deployment.check_queue(by)

        async def is_kept(sight: Sight) -> bool | None:
            kept = {failed.state for failed in sight.failed if (failed.id, failed.queue) == (published.id, by)}
            return True if state in kept else None

        await self.until(is_kept, f"{published.event.contract.name} is to be {state} in {by}")

    def replica(self, replica: type[Replica[Any]] | str, key: object) -> Row:
        """A row of a replica, by its class or as `service.table`."""
        service, kept = self.deployment.place_of(replica)
        return Row(self, service, kept, key)

    def scheduled(self, contract: type[Event], *, within: timedelta) -> None:
        """Says that in the end an event is planned, and due within this time from then; or that it was published."""
        self._said.plans.append(_Plan(contract.contract.name, within))

    def never(self, contract: type[Event], *, by: str | None = None, **fields: object) -> None:
        """Says that no such event is published in this flow."""
        self._said.never.append(Publications(self, contract, by, fields))

    def dead_letter(self, queue: str, *, error: str | None = None) -> None:
        """Says that a message becomes a dead letter in this queue, for an exception of this class."""
        self.deployment.check_queue(queue)
        self._said.dead.append(_Expected(queue, error))

    def given_up(self, call: str) -> None:
        """Says that a call to the world outside of this name is given up, or left to a person."""
        self._said.given_up.add(call)

    async def again(self, *, backwards: bool = False) -> None:
        """Has every message that was sent in this flow delivered once more; returns when all of them were dropped."""
        await faults.again(self.deployment, await self._watch.over(), backwards=backwards)

    async def over(self) -> Sight:
        """All that is known of the flow, once it is over and all that was said of it holds. Raises FlowFailed."""
        try:
            sight = await self._watch.over()
        except Never as never:
            raise await self._failure([f"the flow does not end: {never.because}"], never.sight) from None
        wrong = [each async for each in self._wrong(sight)]
        if wrong:
            raise await self._failure([what for what, _ in wrong], sight, {at: what for what, at in wrong if at is not None})
        return sight

    async def until(self, holds: Callable[[Sight], Awaitable[Any | None]], wanted: str) -> Any:
        """What `holds` gives as soon as that is not None. Raises FlowFailed once it never will, or what must not be is."""

        async def holds_still(sight: Sight) -> Any | None:
            for publications in self._said.never:
                if publications.among(sight):
                    raise Never(f"{publications} was published, and must not be", sight)
            return await holds(sight)

        try:
            return await self._watch.until(holds_still)
        except Never as never:
            raise await self._failure([f"{wanted}: {never.because}"], never.sight) from None

    def compared_with(self, replay: Replay) -> Watch:
        """Says that services react as in a recording; gives what a replay waits by."""
        self._said.replays.append(replay)
        return self._watch

    def expect(self, publications: Publications[Any], times: int) -> None:
        """Says how many of these there are in the end."""
        self._said.counts.append(_Count(publications, times))

    async def _handled(self, published: Published[Any], by: str) -> None:
        async def is_handled(sight: Sight) -> bool | None:
            said = next(each for each in sight.said if each.id == published.id)
            if said.sent is None:
                return None
            queues = {queue for queue in said.queues if by in (queue, queue.partition(".")[0])}
            if not queues:
                heard = ", ".join(said.queues) or "no queue"
                raise Never(f"no subscription of {by} was bound to it when it was sent; bound were: {heard}", sight)
            for failed in sight.failed:
                if failed.id == said.id and failed.queue in queues and failed.state == "dead":
                    raise Never(f"{failed.queue}: {said_of(failed)}", sight)
            ended = {handled.queue for handled in sight.handled if handled.id == said.id}
            return True if queues <= ended else None

        await self.until(is_handled, f"{published.event.contract.name} is to be handled by {by}")

    async def _wrong(self, sight: Sight) -> AsyncIterator[tuple[str, UUID | tuple[UUID, str] | None]]:
        """What is not as the test says, and where."""
        for count in self._said.counts:
            found = await count.publications.among_all(sight)
            for surplus in found[count.times :]:
                yield f"{count.publications} was published {len(found)} times, not {count.times}", surplus.id
        for publications in self._said.never:
            for event in await publications.among_all(sight):
                yield f"{publications} was published, and must not be", event.id
        async for wrong in self._failures(sight):
            yield wrong
        for replay in self._said.replays:
            for difference in replay.differences(sight):
                yield difference, None
        for said, breach in await self.deployment.broken_promises(sight):
            yield f"{said.type} by {said.service}: {breach}", said.id
        for each in self._plans(sight):
            yield each, None
        for call in sight.called:
            if (call.state == "given_up" or call.is_left) and call.name not in self._said.given_up:
                yield f"{call.service} has given up its call {call.name}: {call.error}", None

    async def _failures(self, sight: Sight) -> AsyncIterator[tuple[str, UUID | tuple[UUID, str] | None]]:
        for expected in self._said.dead:
            if not any(expected.is_met_by(failed) for failed in sight.failed):
                yield f"no dead letter{f' for {expected.error}' if expected.error else ''} in {expected.queue}", None
        expected_keys = {
            (failed.queue, failed.key)
            for failed in sight.failed
            if any(expected.is_met_by(failed) for expected in self._said.dead)
        }
        for failed in sight.failed:
            if (failed.queue, failed.key) in expected_keys and failed.state in ("dead", "held"):
                continue
            behind = await self._watch.behind(failed) if failed.state == "held" else None
            at = None if failed.id is None else (failed.id, failed.queue)
            yield f"{failed.type} in {failed.queue}: {said_of(failed, behind)}", at

    def _plans(self, sight: Sight) -> Iterator[str]:
        published = {event.type for event in sight.said}
        for plan in self._said.plans:
            until = clock.now() + plan.within
            fits = any(planned.type == plan.type and planned.due_at <= until for planned in sight.planned)
            if not fits and plan.type not in published:
                yield f"{plan.type} is not planned within the time that was said"
        declared = {plan.type for plan in self._said.plans}
        for planned in sight.planned:
            if planned.type not in declared:
                when = ahead(planned.due_at)
                yield f"{planned.type} waits for its time ({when}): say so with scheduled(…), or advance the clock"

    async def _failure(
        self, wrong: Sequence[str], sight: Sight, marked: dict[UUID | tuple[UUID, str], str] | None = None
    ) -> FlowFailed:
        await self._flow.draw(sight)
        return FlowFailed(report(wrong, self.id, Tree(sight, marked or {})))

    def _check_flow(self, result: Any) -> None:
        """Raises FlowFailed for an HTTP reply that says it began another flow."""
        named = getattr(result, "headers", {}).get(FLOW, str(self.id))
        if named != str(self.id):
            raise FlowFailed(f"the command began a flow of its own, {named}: ask by a client of deployment.client(…)")


class Publications(Generic[E]):
    """The events of one contract in a flow. Printed, it says which."""

    def __init__(self, started: Started, contract: type[E], by: str | None, fields: dict[str, object]) -> None:
        unknown = fields.keys() - contract.model_fields.keys()
        if unknown:
            raise TypeError(f"{contract.__name__} has no field {', '.join(sorted(unknown))}")
        self._started, self._contract, self._by, self._fields = started, contract, by, fields

    def __str__(self) -> str:
        by = f" by {self._by}" if self._by else ""
        fields = ", ".join(self._fields)
        return f"{self._contract.contract.name}{by}{f' with that {fields}' if fields else ''}"

    async def once(self) -> Published[E]:
        """The one event, as soon as it is published. In the end it has to be the only one."""
        [event] = await self.times(1)
        return event

    async def times(self, count: int) -> list[Published[E]]:
        """So many events, as soon as they are published. In the end there have to be no more."""
        self._started.expect(self, count)
        return (await self._at_least(count))[:count]

    async def first(self) -> Published[E]:
        """The first one; there may be more."""
        return (await self._at_least(1))[0]

    async def _at_least(self, count: int) -> list[Published[E]]:
        async def are_there(sight: Sight) -> list[Published[E]] | None:
            found = await self.among_all(sight)
            return found if len(found) >= count else None

        published: list[Published[E]] = await self._started.until(
            are_there, f"{self} is to be published" + (f" {count} times" if count > 1 else "")
        )
        return published

    def among(self, sight: Sight) -> list[Said]:
        """Those of what is known, whatever is in their fields; none where fields were named."""
        name = self._contract.contract.name
        if self._fields:
            return []
        return [said for said in sight.said if said.type == name and self._by in (None, said.service)]

    async def among_all(self, sight: Sight) -> list[Published[E]]:
        """Those of what is known."""
        name = self._contract.contract.name
        said = [each for each in sight.said if each.type == name and self._by in (None, each.service)]
        read = await self._started.deployment.read(self._contract, said)
        return [
            Published(event, each.id, each.service)
            for each, event in zip(said, read, strict=True)
            if all(getattr(event, field) == value for field, value in self._fields.items())
        ]


class Row:
    """A row of a replica, and what it is to become."""

    def __init__(self, started: Started, service: str, replica: type[Replica[Any]], key: object) -> None:
        self._started, self._service, self._replica, self._key = started, service, replica, key

    async def reaches(self, *, version: int | None = None, **columns: object) -> Any:
        """The row, as soon as it has this version or a newer one, and these values."""

        async def is_there(sight: Sight) -> Any | None:
            row = await self._row()
            if row is None or row.deleted or (version is not None and row.state_version < version):
                return None
            return row if all(getattr(row, name) == value for name, value in columns.items()) else None

        return await self._started.until(is_there, f"{self._named()} is to have {self._wanted(version, columns)}")

    async def gone(self) -> None:
        """Returns when the row is deleted."""

        async def is_gone(sight: Sight) -> bool | None:
            row = await self._row()
            return True if row is not None and row.deleted else None

        await self._started.until(is_gone, f"{self._named()} is to be deleted")

    async def _row(self) -> Any:
        return await self._started.deployment.replica_row(self._service, self._replica, self._key)

    def _named(self) -> str:
        return f"{self._service}.{self._replica.__tablename__} {self._key}"

    @staticmethod
    def _wanted(version: int | None, columns: dict[str, object]) -> str:
        return (
            ", ".join([*([f"version {version}"] if version is not None else []), *(f"its {name}" for name in columns)])
            or "a row"
        )
