"""Who is erased is so everywhere: in what was kept before, in what is heard later, and in what was under way meanwhile."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from types import ModuleType
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from broker import DeclarationError, Later, Permanent, Replica, Service, publish
from broker._actions import Asker
from broker._corrections import discard, edit, restore
from broker._dead_letters import Filter
from broker._envelope import Envelope
from broker._portable import Line, exported, import_line
from broker._replica_runs import Place, begin, run_of
from contracts.event import Event
from tests.broker.consuming import envelope_of
from tests.broker.failing import delivery_of
from tests.broker.hotel import (
    Desk,
    GuestArrived,
    GuestErased,
    GuestGreeted,
    GuestReference,
    GuestWeighed,
    Noted,
    RoomCleaned,
    SeatChanged,
    answer,
    desk_at,
    module_of,
    state,
)
from tests.waiting import until

NAME = "Amina Njeri"
ASKER = Asker("amani", "asked for")
WAITING = """
    SELECT 1 FROM pg_locks JOIN pg_database ON pg_database.oid = database
    WHERE datname = current_database() AND locktype = 'advisory' AND NOT granted
"""
GUESTS = Place("desk", GuestReference)


@pytest.fixture
async def desk(database: Callable[..., Awaitable[str]]) -> AsyncIterator[Desk]:
    desk = await desk_at(await database())
    yield desk
    await desk.database.close()


def arrived(guest: UUID, looks: str = NAME, **more: Any) -> GuestArrived:
    return GuestArrived(guest_id=guest, looks=looks, **more)


def failing(exception: Exception) -> Callable[[GuestArrived, AsyncSession], Awaitable[None]]:
    async def fail(event: GuestArrived, session: AsyncSession) -> None:
        raise exception

    return fail


async def failed(desk: Desk, guest: UUID) -> int:
    """A message about a guest becomes a dead letter; its position."""
    desk.behaviour = failing(Permanent("never"))
    await desk.hear(envelope_of(arrived(guest)))
    desk.behaviour = None
    return int((await desk.rows("SELECT max(position) AS position FROM backbone.failed_message"))[0].position)


async def found(desk: Desk, guest: UUID) -> dict[str, int]:
    """What was noted of an erasure."""
    [row] = await desk.rows("SELECT found FROM backbone.erased WHERE person = :guest", guest=guest)
    return dict(row.found)


async def test_the_copy_of_an_erased_person_is_blanked(desk: Desk) -> None:
    """Their personal columns alone, and nobody else's; what was there is noted."""
    guest, other = uuid4(), uuid4()
    await desk.hear(state(guest, NAME, 1, room=7), state(other, "Otieno", 2))
    await desk.erase(guest)
    rows = await desk.rows("SELECT id, full_name, phone, room, state_version FROM guest_reference ORDER BY state_version")
    assert [tuple(row) for row in rows] == [(guest, "", None, 7, 1), (other, "Otieno", "Otieno", 1, 2)]
    assert await found(desk, guest) == {"guest_reference": 1}


@pytest.mark.parametrize("together", [True, False])
async def test_a_late_state_brings_nothing_back(desk: Desk, together: bool) -> None:
    """Newer than what is here, or the first one; all that is not personal is taken in. Others of its batch are as they were."""
    guest, unseen, other = uuid4(), uuid4(), uuid4()
    await desk.hear(state(guest, NAME, 1))
    await desk.erase(guest)
    await desk.erase(unseen)
    late = [state(guest, NAME, 9, room=9), state(unseen, NAME, 8, room=8), state(other, "Otieno", 7, room=7)]
    for batch in [late] if together else [[each] for each in late]:
        await desk.hear(*batch)
    rows = await desk.rows("SELECT full_name, phone, room FROM guest_reference ORDER BY room DESC")
    assert [tuple(row) for row in rows] == [("", None, 9), ("", None, 8), ("Otieno", "Otieno", 7)]


async def test_a_handler_is_told_nothing_of_an_erased_person(desk: Desk) -> None:
    """What the contract says stands for it instead, in an older version too; of two persons in it the erased one alone is."""
    guest, other = uuid4(), uuid4()
    heard: list[GuestArrived] = []

    async def listen(event: GuestArrived, session: AsyncSession) -> None:
        heard.append(event)

    desk.behaviour = listen
    await desk.erase(guest)
    old = envelope_of(arrived(guest), version=1, body=f'{{"guest_id": "{guest}", "appearance": " {NAME}"}}'.encode())
    two = envelope_of(arrived(other, "tall", brought_by=guest, brought_by_name=NAME))
    await desk.hear(envelope_of(arrived(guest)), two, old)
    told = [(each.looks, each.height, each.brought_by_name) for each in heard]
    assert told == [("", 0, None), ("tall", 170, None), ("", 0, None)]


def said_of(guest: UUID, **more: object) -> bytes:
    """A body by hand."""
    return json.dumps({"guest_id": str(guest), "looks": "tall", **more}).encode()


async def test_what_failed_is_masked_when_it_failed_and_when_it_fails_later(desk: Desk) -> None:
    """A dead letter, one that breaks its contract, one with a field and one of a version of which nothing is known."""
    guest = uuid4()
    broken = envelope_of(arrived(guest), body=said_of(guest, brought_by=NAME))
    unknown = envelope_of(arrived(guest), body=said_of(guest, nickname=NAME))
    newer = envelope_of(arrived(guest), version=3)
    desk.behaviour = failing(Permanent("never"))
    await desk.hear(envelope_of(arrived(guest)), broken, unknown, newer)
    assert await desk.left(guest) == {"backbone.failed_message": 4}
    await desk.erase(guest)
    assert await found(desk, guest) == {"backbone.failed_message": 4}
    await desk.hear(envelope_of(arrived(guest)), *(replace(each, id=uuid4()) for each in (broken, unknown, newer)))
    assert len(await desk.rows("SELECT 1 FROM backbone.failed_message")) == 8
    assert (await desk.left(guest), await desk.holds(NAME)) == ({}, set())


async def test_what_may_be_about_anybody_is_of_whom_it_names(desk: Desk) -> None:
    """A field that holds any data at all goes where it names an erased person, whatever else is in it."""
    guest, other = uuid4(), uuid4()
    await desk.erase(guest)
    notes = [{"of": [str(guest).upper()], "name": NAME}, {"of": [str(other)], "name": "Otieno"}, "nobody"]
    await desk.hear(*(envelope_of(Noted(number=number, note=note)) for number, note in enumerate(notes)))
    assert [row.looks for row in await desk.rows("SELECT looks FROM seen ORDER BY place")] == ["None", str(notes[1]), "nobody"]


async def test_what_is_masked_can_be_replayed(desk: Desk) -> None:
    """It takes effect, without what was erased."""
    guest = uuid4()
    position = await failed(desk, guest)
    await desk.erase(guest)
    assert (await desk.retrier.retry(position)).result == "done"
    assert [row.looks for row in await desk.rows("SELECT looks FROM seen")] == [""]


async def test_a_message_is_not_lost_for_naming_an_erased_person(desk: Desk) -> None:
    """One whose contract has nothing personal is kept as it is, and one of somebody else too."""
    guest, other = uuid4(), uuid4()
    await failed(desk, other)
    cleaned = envelope_of(RoomCleaned(room="7", cleaned_for=guest))
    [subscription] = [each for each in desk.service.subscriptions if each.name == "greet"]
    async with desk.database.transaction() as session:
        await desk.failures.record(session, subscription, delivery_of(cleaned), cleaned, Later("busy"))
    before = await desk.rows("SELECT body, persons FROM backbone.failed_message ORDER BY position")
    await desk.erase(guest)
    assert await desk.rows("SELECT body, persons FROM backbone.failed_message ORDER BY position") == before
    assert [row.persons for row in before] == [[other], None]


async def test_what_was_let_go_or_corrected_is_masked(desk: Desk) -> None:
    """Discarded messages, and both bodies of a correction; restored, it still says nothing."""
    guest = uuid4()
    discarded, corrected = await failed(desk, guest), await failed(desk, guest)
    async with desk.database.transaction() as session:
        await discard(session, discarded, uuid4())
        await edit(session, desk.retrier, corrected, lambda said: said | {"looks": f"{NAME}!"}, ASKER)
    await desk.erase(guest)
    expected = {"backbone.discarded_message": 1, "backbone.correction": 2, "backbone.failed_message": 1}
    assert await found(desk, guest) == expected
    async with desk.database.transaction() as session:
        await restore(session, discarded, uuid4())
        await edit(session, desk.retrier, corrected, lambda said: said | {"looks": NAME}, ASKER)
    assert (await desk.left(guest), await desk.holds(NAME)) == ({}, set())


async def test_an_export_from_before_brings_nothing_back(desk: Desk) -> None:
    """Its lines are taken in without the person's data."""
    guest, other = uuid4(), uuid4()
    await failed(desk, guest)
    await failed(desk, other)
    async with desk.database.transaction() as session:
        lines = [line.as_text async for _, line in exported(session, "desk", Filter())]
    assert all(NAME in line for line in lines)
    await desk.rows("DELETE FROM backbone.failed_message RETURNING 1")
    await desk.erase(guest)
    async with desk.database.transaction() as session:
        for line in lines:
            await import_line(session, desk.retrier.subscriptions, desk.failures, Line.read(line))
    assert (await desk.left(guest), await desk.left(other)) == ({}, {"backbone.failed_message": 1})


async def test_what_waits_to_be_said_is_masked_and_nothing_more_is_said(desk: Desk) -> None:
    """In the outbox and in the schedule, before and after."""
    guest = uuid4()
    await desk.says(guest, NAME)
    await desk.erase(guest)
    assert await found(desk, guest) == {"backbone.outbox": 1, "backbone.schedule": 1}
    await desk.says(guest, NAME)
    assert (await desk.left(guest), await desk.holds(NAME)) == ({}, set())
    assert len(await desk.rows("SELECT 1 FROM backbone.outbox UNION ALL SELECT 1 FROM backbone.schedule")) == 4


async def test_replies_and_calls_that_are_over_go_as_a_whole(desk: Desk) -> None:
    """A reply to be given again keeps that it was given; a call that is still to be made keeps what it says, and counts."""
    guest = uuid4()
    await desk.rows(
        "INSERT INTO backbone.idempotency (key, principal, route, request_hash, status, body, created_at)"
        " VALUES ('k', 'p', 'r', '', 201, convert_to(CAST(:said AS text), 'UTF8'), now()) RETURNING 1",
        said=f'{{"guest_id": "{guest}", "name": "{NAME}"}}',
    )
    for state_ in ("answered", "pending"):
        await desk.rows(
            "INSERT INTO backbone.call (id, name, key, state, request, due_at, flow, created_at)"
            " VALUES (:id, 'mail', 'k', :state, jsonb_build_object('to', CAST(:name AS text), 'guest', CAST(:guest AS text)),"
            " now(), :id, now()) RETURNING 1",
            id=uuid4(), state=state_, name=NAME, guest=str(guest),
        )  # fmt: skip
    await desk.erase(guest)
    assert await found(desk, guest) == {"backbone.idempotency": 1, "backbone.call": 1}
    assert await desk.left(guest) == {"backbone.call": 1}
    assert [row.status for row in await desk.rows("SELECT status FROM backbone.idempotency")] == [201]


@pytest.mark.parametrize("purpose", ["fill", "check", "repair"])
async def test_an_owner_that_still_has_the_person_brings_nothing_back(desk: Desk, purpose: Any) -> None:
    """A late answer to the replica is masked too: nothing is filled in, nothing differs, and nothing is repaired."""
    guest, other = uuid4(), uuid4()
    await desk.hear(state(guest, NAME, 1), state(other, "Otieno", 1))
    await desk.erase(guest)
    async with desk.database.transaction() as session:
        run = await begin(session, GUESTS, purpose, "amani")
    await desk.hear(answer([(guest, NAME, 1), (other, "Otieno", 1)], run))
    async with desk.database.transaction() as session:
        ended = await run_of(session, run)
    assert ended is not None
    assert (ended.state, ended.drift, await desk.left(guest)) == ("done", {}, {})
    assert len(await desk.rows("SELECT 1 FROM guest_reference WHERE full_name = 'Otieno'")) == 1


async def erased_meanwhile(desk: Desk, guest: UUID, go_on: asyncio.Event) -> None:
    """The erasure is heard; it waits, until what it waits for goes on."""
    erasing = asyncio.create_task(desk.erase(guest))

    async def is_waiting() -> bool:
        return bool(await desk.rows(WAITING))

    await until(is_waiting)
    go_on.set()
    await erasing


@pytest.mark.parametrize("is_replayed", [False, True])
async def test_an_erasure_waits_for_a_handler_and_then_masks_what_it_said(desk: Desk, is_replayed: bool) -> None:
    """Whoever looked before the erasure, and writes after it began, is waited for: a first attempt, and a replay."""
    guest = uuid4()
    looked, go_on = asyncio.Event(), asyncio.Event()
    position = await failed(desk, guest) if is_replayed else 0

    async def take_long(event: GuestArrived, session: AsyncSession) -> None:
        looked.set()
        await go_on.wait()
        publish(session, GuestGreeted(guest_id=event.guest_id, words=event.looks))

    desk.behaviour = take_long
    work = desk.retrier.retry(position) if is_replayed else desk.hear(envelope_of(arrived(guest)))
    working = asyncio.create_task(work)
    await looked.wait()
    await erased_meanwhile(desk, guest, go_on)
    await working
    assert (await desk.left(guest), await found(desk, guest)) == ({}, {"backbone.outbox": 1})


@pytest.mark.parametrize("what", ["discard", "restore", "edit", "import"])
async def test_an_erasure_waits_for_who_moves_bodies_and_then_masks_them(desk: Desk, what: str) -> None:
    """A body that was read before the erasure is where it was written to when that looks for it."""
    guest, go_on = uuid4(), asyncio.Event()
    position = await failed(desk, guest)
    async with desk.database.transaction() as session:
        [line] = [line async for _, line in exported(session, "desk", Filter())]
        if what == "restore":
            await discard(session, position, uuid4())
    if what == "import":
        await desk.rows("WITH gone AS (DELETE FROM backbone.failed_message) SELECT 1")

    async def move() -> None:
        async with desk.database.transaction() as session:
            match what:
                case "discard":
                    await discard(session, position, uuid4())
                case "restore":
                    await restore(session, position, uuid4())
                case "edit":
                    await edit(session, desk.retrier, position, lambda said: said, ASKER)
                case _:
                    await import_line(session, desk.retrier.subscriptions, desk.failures, line)
            moved.set()
            await go_on.wait()

    moved = asyncio.Event()
    moving = asyncio.create_task(move())
    await moved.wait()
    await erased_meanwhile(desk, guest, go_on)
    await moving
    assert (await desk.left(guest), await desk.holds(NAME)) == ({}, set())


class Elsewhere(DeclarativeBase):
    """The tables of services that are refused."""


class Unclaimed(Replica[SeatChanged], Elsewhere):
    __tablename__ = "unclaimed"

    sitter_name: Mapped[str]


class Initials(Replica[SeatChanged], Elsewhere):
    __tablename__ = "initials"

    guest_id: Mapped[UUID]
    sitter_initials: Mapped[str]

    @classmethod
    def kept(cls, event: SeatChanged) -> dict[str, Any]:
        return {"guest_id": event.guest_id, "sitter_initials": event.sitter_name[:1]}


class Beside(Replica[SeatChanged], Elsewhere):
    __tablename__ = "beside"

    guest_id: Mapped[UUID]
    companions: Mapped[Any] = mapped_column(JSONB)


def service_of(*members: type, publishes: Sequence[type[Event]] = ()) -> Service:
    """A service that keeps these replicas and publishes these events."""
    replicas = ModuleType(members[0].__module__ if members else __name__)
    for member in members:
        setattr(replicas, member.__name__, member)
    return Service(name="desk", port=0, replicas=replicas, contracts=module_of(*publishes))


def test_a_service_hears_of_erasures_if_it_may_have_such_persons_data() -> None:
    """Only then; by the marks of what it reads and publishes."""
    assert [each.name for each in service_of(GuestReference).subscriptions] == ["guest_reference", "erasures"]
    assert [each.name for each in service_of(publishes=[GuestGreeted, GuestErased]).subscriptions] == ["erasures"]
    assert service_of(publishes=[RoomCleaned, GuestErased]).subscriptions == ()


@pytest.mark.parametrize(
    ("replica", "why"),
    [
        (Unclaimed, "keep guest_id too"),
        (Initials, "sitter_initials, which is no field of seat.changed"),
        (Beside, "companions, .* is personal in parts"),
    ],
)
def test_a_replica_that_an_erasure_would_miss_is_refused(replica: type, why: str) -> None:
    """When the service is put together, in one sentence."""
    with pytest.raises(DeclarationError, match=why):
        service_of(replica)


def test_a_contract_says_what_stands_for_erased_data() -> None:
    """Where neither null nor an empty text would do."""
    with pytest.raises(DeclarationError, match=r"guest.weighed: kilograms of an erased person .* Personal\(of=…, erased=…\)"):
        service_of(publishes=[GuestWeighed])


async def test_an_erasure_heard_again_changes_nothing(desk: Desk) -> None:
    """What was found the first time stays noted."""
    guest = uuid4()
    await desk.hear(state(guest, NAME, 1))
    again = envelope_of(GuestErased(guest_id=guest))
    await desk.hear(again)
    await desk.hear(again, replace(again, id=uuid4()))
    assert await found(desk, guest) == {"guest_reference": 1}


PLACE = st.integers(0, 20)
STEPS = st.one_of(
    st.tuples(st.just("state"), st.integers(1, 9)),
    st.tuples(st.just("arrive")),
    st.tuples(st.just("fail")),
    st.tuples(st.just("hear again"), PLACE, st.booleans()),
    st.tuples(st.just("replay"), PLACE),
    st.tuples(st.just("discard"), PLACE),
    st.tuples(st.just("restore"), PLACE),
    st.tuples(st.just("correct"), PLACE),
    st.tuples(st.just("export")),
    st.tuples(st.just("import")),
    st.tuples(st.just("say")),
    st.tuples(st.just("fill")),
)


class Story:
    """What happens around a guest's erasure, and what was said of them so far, to be said again later."""

    def __init__(self, desk: Desk) -> None:
        self.desk, self.guest = desk, uuid4()
        self.said: list[Envelope] = []
        self.lines: list[str] = []

    async def take(self, what: str, *how: Any) -> None:
        """One step."""
        desk = self.desk
        match what:
            case "state":
                await self._hear(state(self.guest, NAME, how[0]))
            case "arrive":
                await self._hear(envelope_of(arrived(self.guest)))
            case "fail":
                desk.behaviour = failing(Permanent("never"))
                await self._hear(envelope_of(arrived(self.guest)))
                desk.behaviour = None
            case "hear again" if self.said:
                again = self.said[how[0] % len(self.said)]
                await desk.hear(replace(again, id=uuid4()) if how[1] else again)
            case "replay":
                await self._each("failed_message", how[0], lambda _, position: desk.retrier.retry(position))
            case "discard":
                await self._each("failed_message", how[0], lambda session, position: discard(session, position, uuid4()))
            case "restore":
                await self._each("discarded_message", how[0], lambda session, position: restore(session, position, uuid4()))
            case "correct":
                await self._each("failed_message", how[0], self._correct)
            case "export":
                async with desk.database.transaction() as session:
                    self.lines = [line.as_text async for _, line in exported(session, "desk", Filter())]
            case "import":
                for line in self.lines:
                    async with desk.database.transaction() as session:
                        await import_line(session, desk.retrier.subscriptions, desk.failures, Line.read(line))
            case "say":
                await desk.says(self.guest, NAME)
            case "fill":
                async with desk.database.transaction() as session:
                    run = await begin(session, GUESTS, "fill", "amani", anew=True)
                await self._hear(answer([(self.guest, NAME, 5)], run))

    async def _hear(self, envelope: Envelope) -> None:
        self.said.append(envelope)
        await self.desk.hear(envelope)

    async def _correct(self, session: AsyncSession, position: int) -> None:
        await edit(session, self.desk.retrier, position, lambda said: said | {"looks": NAME}, ASKER)

    async def _each(self, table: str, place: int, work: Callable[[AsyncSession, int], Awaitable[Any]]) -> None:
        rows = await self.desk.rows(f"SELECT position FROM backbone.{table} ORDER BY position")
        if rows:
            async with self.desk.database.transaction() as session:
                await work(session, rows[place % len(rows)].position)


@given(before=st.lists(STEPS, max_size=12), after=st.lists(STEPS, max_size=12))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_whatever_happens_nothing_is_left(desk: Desk, before: list[Any], after: list[Any]) -> None:
    """States, messages, failures, repetitions, replays, corrections, exports and fills, before and after, in any order."""
    tables = (
        "seen, guest_reference, backbone.failed_message, backbone.discarded_message, backbone.correction, backbone.schedule"
    )
    await desk.rows("WITH gone AS (DELETE FROM backbone.outbox) SELECT 1")
    async with desk.database.transaction() as session:
        await session.execute(text(f"TRUNCATE {tables}, backbone.replica_run CASCADE"))
    story = Story(desk)
    for step in before:
        await story.take(*step)
    await desk.erase(story.guest)
    await desk.rows("WITH gone AS (DELETE FROM seen) SELECT 1")
    for step in after:
        await story.take(*step)
    assert (await desk.left(story.guest), await desk.holds(NAME)) == ({}, set())
