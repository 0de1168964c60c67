"""A recorded flow, replayed to the services under test: stand-ins say what others said, in its order, about ids that are new.

What is said next waits for what the services under test had said before it in the recording, or for the certainty that they
will not. Ids that they make themselves are known again by what they say: an id in a recorded message of theirs is the one in
the message that takes its place.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID, uuid4

from broker._clock import clock
from broker._context import Cause, caused_by
from broker._recordings import EPOCH, ID, OF_BACKBONE, Recorded, RecordingError, Rewriting, contracts_of
from broker._sight import Said, Sight
from broker.testing.deployment import Deployment
from broker.testing.stand_ins import StandIn, tell
from broker.testing.watching import Never, Watch
from contracts.event import Event, NewerVersion, StateEvent

BY_COMMAND = "a command"

Reaction = tuple[str, str, str]
"""The type of a cause, the service that reacted, and the type of what it said."""


class Replay:
    """One replay of a recording.

    to: the services whose reactions are compared; all under test where none are named. ids: what stands for ids of the
    recording, by these; new ones for all others. presuming: states that are said before, each for every aggregate of its kind
    of which the recording speaks without saying its state.
    Raises TypeError for `to` what is not under test, RecordingError for what no contract of today allows.
    """

    def __init__(
        self,
        deployment: Deployment,
        lines: Sequence[Recorded],
        *,
        to: Collection[str] | None = None,
        ids: Mapping[str, UUID] | None = None,
        presuming: Iterable[StateEvent] = (),
    ) -> None:
        self._deployment = deployment
        under_test = deployment.under_test
        self._to = under_test if to is None else set(to)
        if not self._to <= under_test:
            raise TypeError(f"not under test: {', '.join(sorted(self._to - under_test))}")
        self._contracts = contracts_of(deployment.services.values())
        self._heard = {
            event.contract.name
            for name in under_test
            for subscription in deployment.services[name].subscriptions
            for event in subscription.events
        }
        self._ids = {recorded.lower(): str(today) for recorded, today in (ids or {}).items()}
        began = clock.now()
        self._rewriting = Rewriting(
            of_id=lambda id_: self._ids.setdefault(id_, str(uuid4())),
            of_moment=lambda moment: moment - EPOCH + began,
            of_day=lambda day: day - EPOCH.date() + began.date(),
        )
        self._lines = [line for line in lines if self._is_told(line) or line.source in under_test]
        self._told = {line.number: self._read(line) for line in self._lines if self._is_told(line)}
        self._expected = list(self._follows())
        self._presuming = list(presuming)
        self._counterparts: dict[int, UUID] = {}

    def presumed(self) -> Iterator[StateEvent]:
        """The states to be said before: of each kind, one for every aggregate that the recording takes for known."""
        said = {(line.type, line.subject) for line in self._lines}
        bodies = [event.model_dump(mode="json") for event in self._told.values()]
        for state in self._presuming:
            key = state.contract.key
            spoken_of = dict.fromkeys(each for body in bodies for each in _values_of(key, body))
            if type(state).model_fields[key].annotation is not UUID or not spoken_of:
                yield state
                continue
            for id_ in spoken_of:
                if (state.contract.name, id_) not in said:
                    yield state.model_copy(update={key: UUID(self._rewriting.text(id_))})

    async def say(self, watch: Watch) -> None:
        """Has the stand-ins say it all, in the flow in hand, each message once its time has come."""
        before: list[Recorded] = []
        for line in self._lines:
            if line.number not in self._told:
                before.append(line)
                continue
            await self._react(watch, [each for each in before if each in self._expected])
            service = self._deployment.services[line.source]
            assert isinstance(service, StandIn)
            cause = self._counterparts.get(line.cause) if line.cause is not None else None
            with caused_by(Cause(flow=watch.flow, message=cause)):
                event = self._of_today(self._told[line.number])
                id_, _ = await tell(self._deployment.databases[line.source], service, event)
            self._counterparts[line.number] = id_

    def differences(self, sight: Sight) -> list[str]:
        """How the reactions are not those of the recording."""
        types = {line.number: line.type for line in self._lines}
        wanted = Counter(
            (types[line.cause], line.source, line.type)
            for line in self._expected
            if line.cause is not None and line.source in self._to
        )
        said = {event.id: event.type for event in sight.said}
        found = Counter(
            (said.get(event.cause, BY_COMMAND) if event.cause else BY_COMMAND, event.service, event.type)
            for event in sight.said
            if event.service in self._to and event.type not in OF_BACKBONE
        )
        return [_difference(each, found[each], wanted[each]) for each in sorted(found | wanted) if found[each] != wanted[each]]

    async def _react(self, watch: Watch, expected: Sequence[Recorded]) -> None:
        """Returns when the services under test have said all this, or will not."""

        async def is_said(sight: Sight) -> bool | None:
            for line in expected:
                await self._find(sight, line)
            return True if all(line.number in self._counterparts for line in expected) else None

        if not all(line.number in self._counterparts for line in expected):
            try:
                await watch.until(is_said)
            except Never:
                return  # what is missing is told in the end

    async def _find(self, sight: Sight, line: Recorded) -> None:
        """Knows an expected message again, by its cause and its place among those of its type; and the ids in it."""
        cause = self._counterparts.get(line.cause or 0)
        if line.number in self._counterparts or cause is None:
            return
        taken = set(self._counterparts.values())
        for said in sight.said:
            if (said.cause, said.service, said.type) == (cause, line.source, line.type) and said.id not in taken:
                self._counterparts[line.number] = said.id
                self._learn(line.body, await self._body(said))
                return

    async def _body(self, said: Said) -> Any:
        return json.loads((await self._deployment.envelopes(said.service, [said.id]))[said.id].body)

    def _learn(self, recorded: Any, said: Any) -> None:
        """Which id of today stands for an id of the recording, where none does yet."""
        if isinstance(recorded, Mapping) and isinstance(said, Mapping):
            for name in recorded.keys() & said.keys():
                self._learn(recorded[name], said[name])
        elif isinstance(recorded, list) and isinstance(said, list):
            for one, other in zip(recorded, said, strict=False):
                self._learn(one, other)
        elif isinstance(recorded, str) and isinstance(said, str):
            for one, other in zip(ID.findall(recorded), ID.findall(said), strict=False):
                self._ids.setdefault(one.lower(), other)

    def _is_told(self, line: Recorded) -> bool:
        return isinstance(self._deployment.services.get(line.source), StandIn) and line.type in self._heard

    def _read(self, line: Recorded) -> Event:
        contract = self._contracts.get(line.type)
        if contract is None:
            raise RecordingError(f"line {line.number}: no contract is known of {line.type}")
        try:
            return contract.read(json.dumps(line.body).encode(), line.version)
        except (ValueError, NewerVersion):
            named = f"{line.type} v{line.version}"
            raise RecordingError(f"line {line.number}: {named} does not fit the contract of today") from None

    def _of_today(self, event: Event) -> Event:
        """With ids and times of this replay."""
        return type(event).model_validate(self._rewriting.body(type(event), event.model_dump(mode="json")))

    def _follows(self) -> Iterator[Recorded]:
        """What services under test said because of what is told, directly or not."""
        caused = set(self._told)
        for line in self._lines:
            if line.number not in self._told and line.cause in caused:
                caused.add(line.number)
                yield line


def _values_of(name: str, body: Any) -> Iterator[str]:
    """What stands under a name, wherever in a body."""
    if isinstance(body, Mapping):
        if isinstance(body.get(name), str):
            yield body[name]
        for each in body.values():
            yield from _values_of(name, each)
    elif isinstance(body, list):
        for each in body:
            yield from _values_of(name, each)


def _difference(reaction: Reaction, found: int, wanted: int) -> str:
    cause, service, type_ = reaction
    return f"after {cause} {service} said {type_} {_times(found)}, and {_times(wanted)} in the recording"


def _times(count: int) -> str:
    return {0: "never", 1: "once", 2: "twice"}.get(count, f"{count} times")
