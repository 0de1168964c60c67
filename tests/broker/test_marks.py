"""A replica knows how old it is at most, by asking its owner now and then; and never claims too much, whatever happens."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, text
from structlog.testing import capture_logs

from broker import DeclarationError, Fresh, Replica
from broker._database import Database
from broker._delivery import Delivery
from broker._fresh import age_of
from broker._marks import PATIENCE, MarkKeeper, ask_for_mark
from broker._metrics import Metrics
from broker._publishing import write_buffer
from contracts.backbone import FailedMessageChanged
from tests.broker.copying import PERSONS, Ferry, LedgerBase, Person, PersonReference, ferry_over

ANYBODY = UUID(int=5)
MINUTE = timedelta(minutes=1)


@pytest.fixture
async def ferry(database: Callable[..., Awaitable[str]], monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Ferry]:
    """Both sides, of which one may not be older than a minute."""
    monkeypatch.setattr(PersonReference, "fresh", Fresh(at_most=MINUTE))
    async with ferry_over(database) as ferry:
        yield ferry


async def ask(ferry: Ferry, every: timedelta = timedelta()) -> int:
    """Asks for a mark; gives how many questions are on their way then."""
    async with ferry.keeper.transaction() as session:
        await ask_for_mark(session, PERSONS, every)
    await ferry.fetch()
    return sum(to == "people" for to, _ in ferry.under_way)


async def age(ferry: Ferry, key: UUID = ANYBODY) -> timedelta | None:
    async with ferry.keeper.transaction() as session:
        return await age_of(session, PersonReference, key)


async def set_back(ferry: Ferry, column: str, by: timedelta) -> None:
    """Lets time go by."""
    async with ferry.keeper.transaction() as session:
        await session.execute(text(f"UPDATE backbone.replica_mark SET {column} = {column} - CAST(:by AS interval)"), {"by": by})


async def filled(ferry: Ferry) -> None:
    """The replica has everything, and knows it."""
    await ferry.run(PERSONS, "fill")
    assert await age(ferry) is not None


async def test_an_answer_says_how_old_a_replica_is(ferry: Ferry) -> None:
    """As old as the question; from then on older with the time, whatever else arrives."""
    await filled(ferry)
    await set_back(ferry, "as_of", timedelta(hours=1))
    await ferry.write(Person(person_id=ANYBODY, full_name="Nadia"))
    await ferry.settle()
    before = await age(ferry)
    assert before is not None
    assert before > timedelta(hours=1)
    await ask(ferry)
    await set_back(ferry, "asked_at", timedelta(seconds=20))
    await ferry.settle()
    known = await age(ferry)
    assert known is not None
    assert timedelta(seconds=20) < known < timedelta(seconds=50)


async def test_what_was_never_filled_has_no_age(ferry: Ferry) -> None:
    """A mark says that nothing is on its way, and not that what is older has ever come. Nor does a check."""
    await ferry.write(Person(person_id=ANYBODY, full_name="Nadia"))
    await ask(ferry)
    await ferry.settle()
    assert await age(ferry) is None
    await ferry.run(PERSONS, "check")
    assert await age(ferry) is None
    await ferry.run(PERSONS, "repair")
    assert await age(ferry) is not None


async def test_one_question_at_a_time(ferry: Ferry) -> None:
    """The next one when it is time; and once more for one that nobody answers."""
    await filled(ferry)
    assert await ask(ferry, MINUTE) == 0
    await set_back(ferry, "asked_at", MINUTE)
    assert await ask(ferry, MINUTE) == 1
    assert await ask(ferry) == 1
    await set_back(ferry, "asked_at", PATIENCE)
    assert await ask(ferry, MINUTE) == 2


async def test_an_answer_to_an_earlier_question_changes_nothing(ferry: Ferry) -> None:
    """It would be taken for one to the last."""
    await filled(ferry)
    await set_back(ferry, "as_of", timedelta(hours=1))
    await set_back(ferry, "asked_at", MINUTE)
    await ask(ferry)
    await set_back(ferry, "asked_at", PATIENCE)
    await ask(ferry)
    await ferry.deliver()
    ferry.under_way.clear()  # the last question is not answered
    await ferry.settle()
    known = await age(ferry)
    assert known is not None
    assert known > timedelta(hours=1)


async def test_a_key_whose_message_failed_has_no_age(ferry: Ferry) -> None:
    """Nobody knows since when it is not what its owner says; the others have theirs."""
    await filled(ferry)
    async with ferry.keeper.transaction() as session:
        await session.execute(
            text(
                "INSERT INTO backbone.failed_message (subscription, state, type, version, key, sequence, exchange, routing_key,"
                " properties, body, error, reason, attempts, first_failed_at, last_failed_at, stack, fingerprint)"
                " VALUES ('person_reference', 'dead', 't', 1, :key, 99, 'e', 'r', '{}', '', 'E', 'r', 1, now(), now(), '', 'f')"
            ),
            {"key": str(ANYBODY)},
        )
    assert await age(ferry) is None
    assert await age(ferry, UUID(int=6)) is not None


async def test_the_keeper_asks_when_it_is_time_and_tells_once(ferry: Ferry) -> None:
    """At a third of the age. That a replica became too old is said once, and once that it no longer is."""
    keeper = MarkKeeper(ferry.keeper, [PERSONS])
    await filled(ferry)
    await set_back(ferry, "as_of", 2 * MINUTE)
    await set_back(ferry, "asked_at", MINUTE / 4)
    with capture_logs() as logs:
        for _ in range(2):
            await keeper.run_once()
        await ferry.fetch()
        assert ferry.under_way == []
        await set_back(ferry, "asked_at", MINUTE / 8)
        await keeper.run_once()
        await ferry.settle()
        for _ in range(2):
            await keeper.run_once()
    assert [(each["event"], each["replica"]) for each in logs] == [
        ("replica.stale", "person_reference"),
        ("replica.fresh", "person_reference"),
    ]
    assert keeper.interval == 10


async def test_the_age_is_a_metric(ferry: Ferry) -> None:
    """Of the replicas that may not be too old, and of no other."""
    await filled(ferry)
    await set_back(ferry, "as_of", MINUTE)
    told = (await Metrics(["person_reference"]).exposition(ferry.keeper.engine)).decode()
    [line] = [each for each in told.splitlines() if each.startswith("nilecare_replica_age_seconds{")]
    assert line.startswith('nilecare_replica_age_seconds{replica="person_reference"} 6')
    assert "nilecare_replica_age_seconds{" not in (await Metrics().exposition(ferry.keeper.engine)).decode()


def test_what_cannot_be_kept_is_refused_when_it_is_declared() -> None:
    """An age that no owner could be asked for, and one of what every service says."""
    with pytest.raises(DeclarationError, match="younger"):
        Fresh(at_most=timedelta(milliseconds=999))

    class FailureReference(Replica[FailedMessageChanged], LedgerBase):
        __tablename__ = "failure_reference"

        fresh = Fresh(at_most=MINUTE)

    try:
        with pytest.raises(DeclarationError, match="every service"):
            FailureReference.subscription()
    finally:
        LedgerBase.metadata.remove(FailureReference.__table__)


STEPS = st.one_of(
    st.tuples(st.just("write"), st.integers(1, 5)),
    st.tuples(st.just("begin slowly")),
    st.tuples(st.just("end slowly")),
    st.tuples(st.just("ask")),
    st.tuples(st.just("relay"), st.sampled_from(["people", "ledger"])),
    st.tuples(st.just("deliver"), st.sampled_from(["people", "ledger"])),
    st.tuples(st.just("deliver"), st.sampled_from(["people", "ledger"])),
    st.tuples(st.just("repeat"), st.integers(0, 50)),
)  # fmt: skip


@given(steps=st.lists(STEPS, min_size=10, max_size=40))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_a_replica_never_claims_too_much(ferry: Ferry, steps: list[tuple[Any, ...]]) -> None:
    """Whatever its owner had committed by the time that it claims to be of is in it: writes beside and within slow
    transactions, questions, messages that lie long in either queue, and some that come again."""
    async with AsyncExitStack() as stack:
        owner = await Owner.of(ferry, stack)
        for step in [*steps, ("relay", "people"), *[("deliver", "ledger")] * 9]:
            await owner.take(*step)
            await owner.check_claim()


class Owner:
    """Writes, and remembers what it had committed by when."""

    def __init__(self, ferry: Ferry) -> None:
        self.ferry = ferry
        self.committed: list[tuple[datetime, UUID, int]] = []
        self.delivered: list[tuple[str, Delivery]] = []
        self.slow: list[tuple[AsyncExitStack, Person]] = []

    @classmethod
    async def of(cls, ferry: Ferry, stack: AsyncExitStack) -> Owner:
        """Begins with nothing, and a replica that was filled with it."""
        for database, tables in (
            (ferry.owner, "persons, backbone.outbox"),
            (ferry.keeper, "person_reference, backbone.replica_run, backbone.replica_mark, backbone.outbox"),
        ):
            async with database.transaction() as session:
                await session.execute(text(f"TRUNCATE {tables} CASCADE"))
        ferry.under_way.clear()
        await ferry.run(PERSONS, "fill")
        owner = cls(ferry)
        stack.push_async_callback(owner.end_all)
        return owner

    async def take(self, what: str, how: Any = None) -> None:
        """One step."""
        match what:
            case "write":
                person = Person(person_id=UUID(int=how), full_name="Nadia")
                await self.ferry.write(person)
                await self.remember(person.person_id)
            case "begin slowly" if len(self.slow) < 2:
                await self.begin_slowly()
            case "end slowly" if self.slow:
                transaction, person = self.slow.pop(0)
                await transaction.aclose()
                await self.remember(person.person_id)
            case "ask":
                async with self.ferry.keeper.transaction() as session:
                    await ask_for_mark(session, PERSONS)
            case "relay":
                await self.ferry.fetch()
            case "deliver":
                place = next((at for at, (to, _) in enumerate(self.ferry.under_way) if to.startswith(how)), None)
                if place is not None:
                    self.delivered.append(self.ferry.under_way[place])
                    await self.ferry.deliver(place)
            case "repeat" if self.delivered:
                to, delivery = self.delivered[how % len(self.delivered)]
                await self.ferry.processors[to].process([delivery])

    async def begin_slowly(self) -> None:
        """Writes, up to its place in the outbox, and leaves it at that for now."""
        transaction = AsyncExitStack()
        session = await transaction.enter_async_context(self.ferry.owner.transaction())
        person = Person(person_id=UUID(int=100 + len(self.committed) + len(self.slow)), full_name="Amal")
        session.add(person)
        await session.flush()
        await session.run_sync(write_buffer)
        self.slow.append((transaction, person))

    async def end_all(self) -> None:
        for transaction, _ in self.slow:
            await transaction.aclose()

    async def remember(self, key: UUID) -> None:
        async with self.ferry.owner.transaction() as session:
            version = await session.scalar(select(Person.state_version).where(Person.person_id == key))
        self.committed.append((await now(self.ferry.keeper), key, version or 0))

    async def check_claim(self) -> None:
        async with self.ferry.keeper.transaction() as session:
            as_of = await session.scalar(text("SELECT as_of FROM backbone.replica_mark"))
            rows = await session.execute(select(PersonReference.id, PersonReference.state_version))
            copies = {row.id: row.state_version for row in rows}
        for moment, key, version in self.committed:
            assert as_of is None or moment > as_of or copies.get(key, 0) >= version


async def now(database: Database) -> datetime:
    async with database.transaction() as session:
        found: datetime = (await session.execute(text("SELECT clock_timestamp()"))).scalar_one()
        return found
