"""A flow under way: what is awaited of it, and what is said of its end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextvars import Token
from datetime import timedelta
from types import TracebackType
from typing import Any, Self, TypeVar

from broker._context import Cause, _current, uuid7
from broker._http import FLOW
from broker._replicas import Replica
from broker._sight import Called, Failed, Sight
from broker._verdicts import State
from broker.testing import faults
from broker.testing.deployment import Deployment
from broker.testing.errors import FlowFailed
from broker.testing.expected import Count, DeadLetter, Expected, Plan, Wrong
from broker.testing.published import Publications, Published, Row
from broker.testing.replaying import Replay
from broker.testing.telling import Tree, report, said_of
from broker.testing.watching import Never, Watch
from contracts.event import Event

E = TypeVar("E", bound=Event)


class Started:
    """A flow under way. `results` are what its commands gave.

    name: of the test. patience: seconds without any change after which it is given up. draw: draws a flow that failed.
    """

    def __init__(
        self,
        deployment: Deployment,
        commands: Sequence[Awaitable[Any]],
        *,
        name: str,
        patience: float,
        draw: Callable[[Sight], Awaitable[None]],
    ) -> None:
        self.id = uuid7()
        self.deployment = deployment
        self.results: list[Any] = []
        self._name, self._commands, self._draw = name, commands, draw
        self._watch = Watch(deployment, self.id, patience=patience)
        self._expected = Expected()
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
        __tracebackhide__ = True
        assert self._token is not None
        _current.reset(self._token)
        if error is None:
            sight = await self.over()
            if not sight.planned and not sight.failed:
                self.deployment.ended[self.id] = self._name, len(sight.said)
        elif not isinstance(error, FlowFailed) and isinstance(error, Exception):
            sight = await self._watch.sight()
            await self._draw(sight)
            error.add_note(f"flow {self.id}:\n{Tree(sight, {})}")

    def published(self, contract: type[E], *, by: str | None = None, **fields: object) -> Publications[E]:
        """The events of a contract in this flow: by one service, and with these values in its fields, where given."""
        return Publications(self, contract, by, fields)

    async def handled(self, published: Published[Any] | Iterable[Published[Any]], *, by: str | Iterable[str]) -> None:
        """Returns when these services, or queues, have handled an event: every subscription of a service that heard it."""
        __tracebackhide__ = True
        events = [published] if isinstance(published, Published) else list(published)
        for each in [by] if isinstance(by, str) else by:
            for event in events:
                await self._handled(event, each)

    async def relayed(self, published: Published[Any]) -> None:
        """Returns when the broker has an event, and the outbox no more."""
        __tracebackhide__ = True

        async def is_sent(sight: Sight) -> bool | None:
            return True if any(said.id == published.id and said.sent is not None for said in sight.said) else None

        await self.until(is_sent, f"{published.event.contract.name} is to be sent")

    async def called(self, name: str, *, by: str | None = None, state: str) -> Called:
        """A call to the world outside, as soon as it is in this state: `unknown` when its answer was lost, for one."""
        __tracebackhide__ = True

        async def is_so(sight: Sight) -> Called | None:
            calls = (call for call in sight.called if call.name == name and by in (None, call.service))
            return next((call for call in calls if call.state == state), None)

        call: Called = await self.until(is_so, f"the call {name} is to be {state}")
        return call

    async def kept(self, published: Published[Any], *, by: str, state: State) -> Failed:
        """What a queue's subscription keeps of an event that it could not handle (yet), as soon as it is in this state."""
        __tracebackhide__ = True
        self.deployment.check_queue(by)

        async def is_kept(sight: Sight) -> Failed | None:
            kept = (failed for failed in sight.failed if (failed.id, failed.queue) == (published.id, by))
            return next((failed for failed in kept if failed.state == state), None)

        failed: Failed = await self.until(is_kept, f"{published.event.contract.name} is to be {state} in {by}")
        return failed

    def replica(self, replica: type[Replica[Any]] | str, key: object) -> Row:
        """A row of a replica, by its class or as `service.table`."""
        service, kept = self.deployment.place_of(replica)
        return Row(self, service, kept, key)

    def scheduled(self, contract: type[Event], *, within: timedelta) -> None:
        """Says that in the end an event is planned, and due within this time from then; or that it was published."""
        self._expected.plans.append(Plan(contract.contract.name, within))

    def never(self, contract: type[Event], *, by: str | None = None, **fields: object) -> None:
        """Says that no such event is published in this flow."""
        self._expected.never.append(Publications(self, contract, by, fields))

    def dead_letter(self, queue: str, *, error: str | None = None) -> None:
        """Says that a message becomes a dead letter in this queue, for an exception of this class."""
        self.deployment.check_queue(queue)
        self._expected.dead.append(DeadLetter(queue, error))

    def given_up(self, call: str) -> None:
        """Says that a call to the world outside of this name is given up, or left to a person."""
        self._expected.given_up.add(call)

    async def again(self, *, backwards: bool = False) -> None:
        """Has every message that was sent in this flow delivered once more; returns when all of them were dropped."""
        await faults.again(self.deployment, (await self._watch.over()).said, backwards=backwards)

    async def anew(self, *contracts: type[Event]) -> None:
        """Has the events of these contracts that were sent in this flow delivered under ids that nobody has heard of.

        The last comes first; returns when each has taken effect once more.
        """
        names = {contract.contract.name for contract in contracts}
        sight = await self._watch.over()
        await faults.anew(self.deployment, [said for said in sight.said if said.type in names])

    async def over(self) -> Sight:
        """All that is known of the flow, once it is over and all that was said of it holds. Raises FlowFailed."""
        __tracebackhide__ = True
        try:
            sight = await self._watch.over()
        except Never as never:
            raise await self._failure([Wrong(f"the flow does not end: {never.because}")], never.sight) from None
        wrong = [each async for each in self._expected.wrong(sight, self.deployment)]
        if wrong:
            raise await self._failure(wrong, sight)
        return sight

    async def until(self, holds: Callable[[Sight], Awaitable[Any | None]], wanted: str, seen: Callable[[], str] = str) -> Any:
        """What `holds` gives as soon as that is not None. Raises FlowFailed once it never will, or what must not be is.

        seen: what was seen last instead.
        """
        __tracebackhide__ = True

        async def holds_still(sight: Sight) -> Any | None:
            for publications in self._expected.never:
                if publications.among(sight):
                    raise Never(f"{publications} was published, and must not be", sight)
            return await holds(sight)

        try:
            return await self._watch.until(holds_still)
        except Never as never:
            what = ": ".join(filter(None, (wanted, seen(), never.because)))
            raise await self._failure([Wrong(what)], never.sight, missing=[wanted]) from None

    def compared_with(self, replay: Replay) -> Watch:
        """Says that services react as in a recording; gives what a replay waits by."""
        self._expected.replays.append(replay)
        return self._watch

    def expect(self, publications: Publications[Any], times: int) -> None:
        """Says how many of these there are in the end."""
        self._expected.counts.append(Count(publications, times))

    async def _handled(self, published: Published[Any], by: str) -> None:
        __tracebackhide__ = True

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

    async def _failure(self, wrong: Sequence[Wrong], sight: Sight, *, missing: Sequence[str] = ()) -> FlowFailed:
        await self._draw(sight)
        tree = Tree(sight, {each.at: each.mark for each in wrong if each.at is not None}, missing)
        return FlowFailed(report([each.what for each in wrong], self.id, tree))

    def _check_flow(self, result: Any) -> None:
        """Raises FlowFailed for an HTTP reply that says it began another flow."""
        named = getattr(result, "headers", {}).get(FLOW, str(self.id))
        if named != str(self.id):
            raise FlowFailed(f"the command began a flow of its own, {named}: ask by a client of deployment.client(…)")
