"""What people do about failed messages, written down: who, when, which messages, why, and what became of each.

The messages of an action are chosen once, when it begins. What is done to many is carried out one after the other by
`broker._acting`, and goes on where it was after the process was killed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import Row, Table, exists, func, insert, literal, select, true, update
from sqlalchemy.ext.asyncio import AsyncSession

from broker._clock import clock
from broker._context import uuid7
from broker._dead_letters import Filter, among
from broker._tables import action, action_message, discarded_message, disclosure, erased, failed_message

Verb = Literal["replay", "discard", "restore", "edit", "redirect", "reveal", "export", "import", "expire"]
State = Literal["running", "done", "halted", "stopped"]
DISCLOSING = frozenset[Verb]({"export", "reveal"})
"""What gives personal data out."""

Result = Literal[
    "took effect", "had taken effect", "failed again", "failed otherwise", "behind", "gone", "foreign", "not tried",
    "discarded", "restored", "edited", "redirected", "shown", "exported", "imported",
]  # fmt: skip
"""failed again: for the reason that was meant to be cured. not tried: others had failed again for the same reason."""


LEFT = "left"
"""What is still to be done, where outcomes are told."""


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks for something, and why."""

    name: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class Pace:
    """How a replay goes about its messages.

    Of each fingerprint `canary` are tried first, then `few` more, then the rest, at `rate` a second (None: as fast as it goes).
    One of the first that fails, and one of the rest that fails for its old reason, ends the replay of its fingerprint.
    """

    canary: int = 1
    few: int = 10
    rate: float | None = None


@dataclass(frozen=True, slots=True)
class Action:
    """What was asked for and how far it is. `outcomes` counts; its key None is what is still to be done.

    in_hand: the place up to which messages were begun together; None when none are.
    """

    id: UUID
    verb: Verb
    state: State
    asked_by: str
    why: str
    wanted: Mapping[str, Any]
    pace: Pace
    total: int
    began_at: datetime
    ended_at: datetime | None
    in_hand: int | None = None
    outcomes: Mapping[str | None, int] = field(default_factory=dict)

    @property
    def left(self) -> int:
        """How many messages are still to be looked at."""
        return self.outcomes.get(None, 0)


@dataclass(frozen=True, slots=True)
class Part:
    """One message of an action, and what became of it (None: nothing yet)."""

    action: UUID
    place: int
    position: int
    id: UUID | None
    subscription: str
    type: str
    key: str
    fingerprint: str
    tries: int
    outcome: str | None
    detail: str | None
    at: datetime | None


async def begin(
    session: AsyncSession, verb: Verb, wanted: Filter, asker: Asker, *, pace: Pace | None = None, state: State = "running"
) -> Action:
    """Writes down what is asked for, with the messages that are like that now; for `restore`, of those that were discarded."""
    now, pace = clock.now(), pace or Pace()
    begun = Action(
        id=uuid7(), verb=verb, state=state, asked_by=asker.name, why=asker.why, wanted=wanted.as_json(), pace=pace, total=0,
        began_at=now, ended_at=None if state == "running" else now,
    )  # fmt: skip
    values = {name: getattr(begun, name) for name in action.c.keys()}  # noqa: SIM118 (a collection of columns)
    await session.execute(insert(action).values(values | {"pace": asdict(pace)}))
    total = await _freeze(session, begun.id, wanted, discarded_message if verb == "restore" else failed_message)
    await session.execute(update(action).where(action.c.id == begun.id).values(total=total))
    if verb in DISCLOSING:
        await _note_disclosed(session, begun.id, wanted)
    return replace(begun, total=total, outcomes={None: total} if total else {})


async def disclosed(session: AsyncSession, person: UUID) -> list[tuple[Action, int]]:
    """When data of a person in failed messages was shown or exported, to whom and why; how many messages it was each time."""
    given = await session.execute(select(disclosure.c.action, disclosure.c.messages).where(disclosure.c.person == person))
    messages = {row.action: row.messages for row in given}
    found = await session.execute(select(action).where(action.c.id.in_(messages)).order_by(action.c.id))
    return [(_action(row, {}), messages[row.id]) for row in found]


async def note(session: AsyncSession, id_: UUID, outcomes: Mapping[int, tuple[Result, str | None]]) -> None:
    """Writes down what became of messages, by position, unless it is known."""
    for outcome in dict.fromkeys(outcomes.values()):
        positions = [position for position, result in outcomes.items() if result == outcome]
        part = action_message.c
        await session.execute(
            update(action_message)
            .where(part.action == id_, among(part.position, positions), part.outcome.is_(None))
            .values(outcome=outcome[0], detail=outcome[1], at=clock.now())
        )


async def take_up(session: AsyncSession, id_: UUID, *, after: int, limit: int) -> list[Part]:
    """The next messages of an action that are to be done, written down as in hand. None when the action does not run."""
    part = action_message.c
    open_ = select(action_message).where(part.action == id_, part.outcome.is_(None), part.place > after)
    following = open_.order_by(part.place).limit(limit).cte("following")
    last = select(func.max(following.c.place)).scalar_subquery()
    running = update(action).where(action.c.id == id_, action.c.state == "running")
    taken_up = running.values(in_hand=last).returning(action.c.id).cte("taken_up")
    rows = await session.execute(select(following).join(taken_up, true()).order_by(following.c.place))
    return [Part(*row) for row in rows]


async def suspect(session: AsyncSession, action_: Action) -> None:
    """Has messages tried alone that were in hand when a process ended: one of them may have ended it."""
    part = action_message.c
    if action_.in_hand is not None:
        here = (part.action == action_.id, part.outcome.is_(None), part.place <= action_.in_hand, part.tries == 0)
        await session.execute(update(action_message).where(*here).values(tries=1))


async def put_down(session: AsyncSession, id_: UUID) -> None:
    """Nothing of the action is in hand any more."""
    await session.execute(update(action).where(action.c.id == id_).values(in_hand=None))


async def end(session: AsyncSession, id_: UUID, state: State) -> None:
    """Ends an action that runs."""
    running = update(action).where(action.c.id == id_, action.c.state == "running")
    await session.execute(running.values(state=state, ended_at=clock.now()))


async def stop(session: AsyncSession, id_: UUID) -> bool:
    """Has an action end after the message in hand; False when it had ended."""
    running = update(action).where(action.c.id == id_, action.c.state == "running")
    stopped = await session.execute(running.values(state="stopped", ended_at=clock.now()).returning(action.c.id))
    return stopped.one_or_none() is not None


async def resume(session: AsyncSession, id_: UUID) -> bool:
    """Has an action go on that was stopped; False when it runs, or has come to its end."""
    stopped = update(action).where(action.c.id == id_, action.c.state == "stopped")
    resumed = await session.execute(stopped.values(state="running", ended_at=None).returning(action.c.id))
    return resumed.one_or_none() is not None


async def look(session: AsyncSession, id_: UUID) -> Action | None:
    """The action as it stands; None for one that is not known here."""
    found = (await session.execute(select(action).where(action.c.id == id_))).one_or_none()
    return None if found is None else (await _with_outcomes(session, [found]))[0]


async def history(session: AsyncSession, *, limit: int) -> list[Action]:
    """The latest actions, the newest first."""
    query = select(action).order_by(action.c.id.desc()).limit(limit)
    return await _with_outcomes(session, (await session.execute(query)).all())


async def parts(session: AsyncSession, id_: UUID, *, limit: int, after: int = 0, outcome: str | None = None) -> list[Part]:
    """The messages of an action, after a place; those of one outcome alone, if one is given."""
    here = select(action_message).where(action_message.c.action == id_, action_message.c.place > after)
    if outcome is not None:
        here = here.where(func.coalesce(action_message.c.outcome, LEFT) == outcome)
    rows = await session.execute(here.order_by(action_message.c.place).limit(limit))
    return [Part(**row) for row in rows.mappings()]


async def past_of(session: AsyncSession, position: int) -> list[tuple[Action, Part]]:
    """What was done about one message, the oldest first."""
    rows = await session.execute(
        select(action_message).where(action_message.c.position == position).order_by(action_message.c.action)
    )
    touched = [Part(**row) for row in rows.mappings()]
    found = await session.execute(select(action).where(action.c.id.in_([part.action for part in touched])))
    by_id = {row.id: _action(row, {}) for row in found}
    return [(by_id[part.action], part) for part in touched]


async def _note_disclosed(session: AsyncSession, id_: UUID, wanted: Filter) -> None:
    """Writes down whose data is given out; of the erased there is none."""
    persons = select(func.unnest(failed_message.c.persons).label("person")).where(wanted.condition).subquery()
    is_erased = exists().where(erased.c.person == persons.c.person)
    counted = select(persons.c.person, literal(id_), func.count()).where(~is_erased).group_by(persons.c.person)
    await session.execute(insert(disclosure).from_select(["person", "action", "messages"], counted))


async def _freeze(session: AsyncSession, id_: UUID, wanted: Filter, table: Table) -> int:
    columns = ("position", "id", "subscription", "type", "key", "fingerprint")
    place = func.row_number().over(order_by=table.c.position)
    chosen = select(literal(id_), place, *(table.c[name] for name in columns)).where(wanted.on(table))
    frozen = insert(action_message).from_select(["action", "place", *columns], chosen).returning(action_message.c.place)
    counted = select(func.count()).select_from(frozen.cte("frozen"))
    return int(await session.scalar(counted) or 0)


async def _with_outcomes(session: AsyncSession, rows: Sequence[Row[Any]]) -> list[Action]:
    part = action_message.c
    counted = select(part.action, part.outcome, func.count()).where(part.action.in_([row.id for row in rows]))
    outcomes: dict[UUID, dict[str | None, int]] = {row.id: {} for row in rows}
    for id_, outcome, count in await session.execute(counted.group_by(part.action, part.outcome)):
        outcomes[id_][outcome] = count
    return [_action(row, outcomes[row.id]) for row in rows]


def _action(row: Row[Any], outcomes: Mapping[str | None, int]) -> Action:
    return Action(**{**row._asdict(), "pace": Pace(**row.pace)}, outcomes=outcomes)
