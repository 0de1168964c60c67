"""Replicas fill themselves from their owner, find what differs, and put it right; whatever happens meanwhile."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event as sa_event
from sqlalchemy import text

from broker import _answering, _projections
from broker._replica_runs import RunUnderWay, drift_of
from contracts.backbone import ReplicaRepaired, ReplicaStates
from tests.broker.copying import GUESTS, PERSONS, WARDS, Bed, Ferry, Person, Ward, ferry_over

THREE = 210
"""Bytes that three persons reach."""


@pytest.fixture
async def ferry(database: Callable[..., Awaitable[str]], monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Ferry]:
    """Both sides, whose messages hold few states, so that a run has many of them."""
    monkeypatch.setattr(_answering, "MOST", 12)
    monkeypatch.setattr(_answering, "LARGEST", THREE)
    async with ferry_over(database) as ferry:
        yield ferry


def person(number: int, name: str | None = None) -> Person:
    """The person of a number."""
    return Person(
        person_id=UUID(int=number << 64), full_name=name or f"P{number}", born_on=date(1990, 1, 1), weight=Decimal("70.50")
    )


async def owned(ferry: Ferry, count: int) -> None:
    """The owner has so many persons, of whom nobody was told."""
    await ferry.write(*(person(number) for number in range(1, count + 1)))
    await ferry.fetch()
    ferry.under_way.clear()


async def damage(ferry: Ferry, statement: str, **values: Any) -> None:
    """Somebody has their hands in the replica's database."""
    async with ferry.keeper.transaction() as session:
        await session.execute(text(statement), values)


async def drift(ferry: Ferry, run: UUID) -> list[tuple[str, str, bool]]:
    async with ferry.keeper.transaction() as session:
        return [(key, kind, repaired) for key, kind, repaired in await drift_of(session, run)]


@pytest.mark.parametrize("count", [0, 1, 3, 11, 12, 13, 40])
async def test_an_empty_replica_fills_itself(ferry: Ferry, count: int) -> None:
    """By messages of a few states each; whatever the number of states is, at the edges of messages and of answers too."""
    await owned(ferry, count)
    id_ = await ferry.begin(PERSONS, "fill")
    sizes = await _sizes(ferry, ferry.settle)
    assert set(sizes[:-1]) <= {3}, "a message that is not the last is full"
    run = await ferry.look(id_)
    assert (run.state, run.rows, run.drift) == ("done", count, {})
    assert await ferry.copies() == await ferry.persons()
    assert len(await ferry.copies()) == count


async def test_what_is_no_column_is_filled_too(ferry: Ferry) -> None:
    """A state that is made from several tables; keys that are text, in the order of their bytes on both sides."""
    codes = ["b", "B", "a", "Ä", "a-1", "a1", "_", "ab", "A b"]
    async with ferry.owner.transaction() as session:
        session.add_all(Ward(id=code, parts=[Bed(ward=code, name=f"{code}{number}") for number in (1, 2)]) for code in codes)
    await ferry.fetch()
    ferry.under_way.clear()
    run = await ferry.run(WARDS, "fill")
    assert (run.state, run.rows) == ("done", len(codes))
    async with ferry.keeper.transaction() as session:
        rows = (await session.execute(text("SELECT id, beds FROM ward_reference"))).all()
    assert {row.id: row.beds for row in rows} == {code: {f"{code}1": True, f"{code}2": True} for code in codes}
    await damage(ferry, "UPDATE ward_reference SET beds = '{}' WHERE id = 'Ä'")
    await damage(ferry, "DELETE FROM ward_reference WHERE id = 'a-1'")
    repair = await ferry.run(WARDS, "repair")
    assert {(key, kind) for key, kind, _ in await drift(ferry, repair.id)} == {("Ä", "altered"), ("a-1", "missing")}
    assert (await ferry.run(WARDS, "check")).drift == {}


async def test_life_goes_on_during_a_fill(ferry: Ferry) -> None:
    """What changes, comes and goes between any two messages of the fill is right at its end."""
    await owned(ferry, 20)
    id_ = await ferry.begin(PERSONS, "fill")
    await ferry.fetch()
    step = 0
    while ferry.under_way:
        await ferry.deliver()
        step += 1
        await ferry.write(person(step, f"changed at {step}"), person(100 + step))
        await ferry.remove(person(21 - step).person_id) if step < 20 else None
        if step == 7:
            await ferry.write(person(20, "is back"))
        await ferry.fetch()
        if step > 30:
            await ferry.settle()
    assert (await ferry.look(id_)).state == "done"
    assert await ferry.copies() == await ferry.persons()


async def test_messages_that_come_twice_change_nothing(ferry: Ferry) -> None:
    """Nor does an owner that is asked twice: a range that was taken in is not taken in again."""
    await owned(ferry, 10)
    id_ = await ferry.begin(PERSONS, "fill")
    await ferry.fetch()
    (to, request), *_ = ferry.under_way
    await ferry.processors[to].process([request])
    async with ferry.owner.transaction() as session:
        await session.execute(text("DELETE FROM backbone.inbox"))
    await ferry.settle()
    run = await ferry.look(id_)
    assert (run.state, run.rows) == ("done", 10)
    assert await ferry.copies() == await ferry.persons()


async def test_damage_is_found_key_by_key_and_mended_exactly(ferry: Ferry) -> None:
    """Rows lost, stale, added, altered, and one that claims to be newer than all its owner ever said."""
    await owned(ferry, 30)
    await ferry.run(PERSONS, "fill")
    whole = await ferry.copies()
    ids = {number: person(number).person_id for number in range(1, 31)}
    await damage(ferry, "DELETE FROM person_reference WHERE id = ANY(:ids)", ids=[ids[3], ids[30]])
    await damage(ferry, "UPDATE person_reference SET state_version = 0 WHERE id = :id", id=ids[7])
    await damage(ferry, "UPDATE person_reference SET full_name = 'somebody else' WHERE id = :id", id=ids[11])
    await damage(ferry, "UPDATE person_reference SET born_on = NULL WHERE id = :id", id=ids[12])
    await damage(ferry, "UPDATE person_reference SET deleted = true WHERE id = :id", id=ids[13])
    await damage(ferry, "UPDATE person_reference SET state_version = 9000000 WHERE id = :id", id=ids[17])
    await damage(ferry, "UPDATE person_reference SET id = :new WHERE id = :id", id=ids[20], new=UUID(int=5))
    await damage(ferry, "UPDATE person_reference SET weight = 70.5 WHERE id = :id", id=ids[21])  # the same number
    expected = {
        str(ids[3]): "missing", str(ids[30]): "missing", str(ids[20]): "missing", str(ids[7]): "stale", str(ids[11]): "altered",
        str(ids[12]): "altered", str(ids[13]): "altered", str(ids[17]): "altered", str(UUID(int=5)): "surplus",
    }  # fmt: skip
    check = await ferry.run(PERSONS, "check")
    assert {key: kind for key, kind, _ in await drift(ferry, check.id)} == expected
    assert (check.state, check.rows, check.repaired) == ("done", 30, 0)
    assert await ferry.copies() != whole, "a check changes nothing"
    repair = await ferry.run(PERSONS, "repair")
    assert {key: kind for key, kind, repaired in await drift(ferry, repair.id) if repaired} == expected
    assert repair.repaired == len(expected)
    assert await ferry.copies() == whole == await ferry.persons()
    assert (await ferry.run(PERSONS, "check")).drift == {}


async def test_repairs_are_told(ferry: Ferry, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each as an event of the replica's service, that names the key and how it differed."""
    await owned(ferry, 4)
    await ferry.run(PERSONS, "fill")
    await damage(ferry, "DELETE FROM person_reference WHERE id = :id", id=person(2).person_id)
    heard: list[ReplicaRepaired] = []
    monkeypatch.setattr(
        Ferry, "addressees", _overhearing(heard, Ferry.addressees),
    )  # fmt: skip
    run = await ferry.run(PERSONS, "repair")
    (told,) = heard
    assert (told.replica, told.run_id, told.aggregate, told.drift) == (
        "ledger.person_reference", run.id, str(person(2).person_id), "missing",
    )  # fmt: skip


def _overhearing(heard: list[ReplicaRepaired], places: Callable[[Ferry, Any], list[str]]) -> Callable[[Ferry, Any], list[str]]:
    def overhear(ferry: Ferry, envelope: Any) -> list[str]:
        if envelope.type == ReplicaRepaired.contract.name:
            heard.append(ReplicaRepaired.read(envelope.body, 1))
            return []
        return places(ferry, envelope)

    return overhear


async def test_what_is_on_its_way_is_no_drift(ferry: Ferry) -> None:
    """The owner changes, adds and deletes while it is checked; none of it has arrived when the first look is taken."""
    await owned(ferry, 9)
    await ferry.run(PERSONS, "fill")
    id_ = await ferry.begin(PERSONS, "check")
    await ferry.write(person(2, "new name"), person(50))
    await ferry.remove(person(3).person_id)
    await ferry.fetch()
    live = [each for each in ferry.under_way if each[0] == PERSONS.queue]
    ferry.under_way = [each for each in ferry.under_way if each not in live]
    await ferry.deliver()  # the request; the owner answers with what it has now
    await ferry.fetch()
    while ferry.under_way:
        await ferry.deliver()  # the first look: before the changes
    await ferry.fetch()
    ferry.under_way = [*live, *ferry.under_way]
    await ferry.settle()
    assert (await ferry.look(id_)).drift == {}
    assert await ferry.copies() == await ferry.persons()


async def test_what_came_between_the_looks_is_no_drift(ferry: Ferry) -> None:
    """A row that was wrong at the first look, and newer than the owner's second answer when that arrives, is left as it is."""
    await owned(ferry, 3)
    await ferry.run(PERSONS, "fill")
    await damage(ferry, "UPDATE person_reference SET full_name = 'somebody else' WHERE id = :id", id=person(2).person_id)
    id_ = await ferry.begin(PERSONS, "repair")
    await ferry.fetch()
    for _ in range(3):  # the request, the first look, and the request for what differs
        await ferry.deliver()
        await ferry.fetch()
    await ferry.write(person(2, "new name"))
    await ferry.fetch()
    assert [to for to, _ in ferry.under_way] == [PERSONS.queue] * 2
    await ferry.deliver(1)  # the live state overtakes the answer
    await ferry.settle()
    assert ((await ferry.look(id_)).state, (await ferry.look(id_)).drift) == ("done", {})
    assert await ferry.copies() == await ferry.persons()


async def test_a_key_whose_message_failed_is_reported_as_such(ferry: Ferry) -> None:
    """It is not drift and not repaired: a replay of the message is what it needs."""
    await owned(ferry, 5)
    await ferry.run(PERSONS, "fill")
    await damage(ferry, "DELETE FROM person_reference WHERE id = :id", id=person(2).person_id)
    await damage(
        ferry,
        "INSERT INTO backbone.failed_message (subscription, state, type, version, key, sequence, exchange, routing_key,"
        " properties, body, error, reason, attempts, first_failed_at, last_failed_at, stack, fingerprint)"
        " VALUES ('person_reference', 'dead', 't', 1, :key, 99, 'e', 'r', '{}', '', 'E', 'r', 1, now(), now(), '', 'f')",
        key=str(person(2).person_id),
    )
    run = await ferry.run(PERSONS, "repair")
    assert (run.state, run.drift, run.failed) == ("done", {}, 1)


async def test_a_refill_brings_a_column_that_is_new(ferry: Ferry) -> None:
    """Rows of the same version get what they lack; nothing else is written again."""
    await owned(ferry, 8)
    await ferry.run(PERSONS, "fill")
    await damage(ferry, "UPDATE person_reference SET weight = NULL WHERE id <> :id", id=person(4).person_id)
    before = await _written(ferry)
    assert (await ferry.run(PERSONS, "fill")).state == "done"
    assert await ferry.copies() == await ferry.persons()
    after = await _written(ferry)
    assert {id_ for id_ in before if before[id_] == after[id_]} == {person(4).person_id}


async def _written(ferry: Ferry) -> dict[UUID, str]:
    async with ferry.keeper.transaction() as session:
        rows = await session.execute(text("SELECT id, xmin::text AS writer FROM person_reference"))
        return {row.id: row.writer for row in rows}


async def test_one_run_at_a_time(ferry: Ferry) -> None:
    """Another is refused until the first has ended, or is given up; what then arrives of it changes nothing."""
    await owned(ferry, 10)
    first = await ferry.begin(PERSONS, "fill")
    with pytest.raises(RunUnderWay):
        await ferry.begin(PERSONS, "check")
    second = await ferry.begin(PERSONS, "fill", anew=True)
    await ferry.settle()
    assert ((await ferry.look(first)).state, (await ferry.look(second)).state) == ("given_up", "done")
    assert (await ferry.look(second)).rows == 10
    assert await ferry.copies() == await ferry.persons()


async def test_what_cannot_be_filled_says_so(ferry: Ferry) -> None:
    """An owner that keeps nothing to make states from refuses."""
    run = await ferry.run(GUESTS, "fill")
    assert run.state == "given_up"
    assert "keeps no objects" in (run.reason or "")


async def test_large_states_go_in_messages_of_their_own(ferry: Ferry, monkeypatch: pytest.MonkeyPatch) -> None:
    """By their bytes, not their number alone; when they are asked for by key, too."""
    monkeypatch.setattr(_answering, "MOST", 100)
    monkeypatch.setattr(_answering, "LARGEST", 1000)
    await ferry.write(*(person(number, "x" * 400) for number in range(1, 12)))
    await ferry.fetch()
    ferry.under_way.clear()
    sizes = await _sizes(ferry, lambda: ferry.run(PERSONS, "fill"))
    assert max(sizes) == 3
    assert await ferry.copies() == await ferry.persons()
    await damage(ferry, "DELETE FROM person_reference")
    sizes = await _sizes(ferry, lambda: ferry.run(PERSONS, "repair"))
    assert max(sizes) == 3
    assert sum(sizes) == 2 * 11, "each once to be compared, and once to be taken in"
    assert await ferry.copies() == await ferry.persons()


async def test_an_answer_about_keys_is_bounded_too(ferry: Ferry, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of large states it has the first ones; the replica asks about the others."""
    monkeypatch.setattr(_answering, "LARGEST", 1000)
    monkeypatch.setattr(_answering, "AT_ONCE", 3)
    monkeypatch.setattr(_answering, "FEW", 2)
    await ferry.write(*(person(number, "x" * 400) for number in range(1, 31)))
    await ferry.fetch()
    ferry.under_way.clear()
    id_ = await ferry.begin(PERSONS, "repair")
    await ferry.fetch()
    most = 0
    while ferry.under_way:
        await ferry.deliver()
        await ferry.fetch()
        most = max(most, sum(to == PERSONS.queue for to, _ in ferry.under_way))
    assert (await ferry.look(id_)).repaired == 30
    assert await ferry.copies() == await ferry.persons()
    assert most <= 4


async def test_an_owner_reads_little_more_than_it_sends(ferry: Ferry, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where states are large, it does not make thousands of them for an answer that holds a few."""
    monkeypatch.setattr(_answering, "MOST", 1000)
    monkeypatch.setattr(_answering, "LARGEST", 300)
    monkeypatch.setattr(_projections, "SAMPLE", 5)
    count = 80
    async with ferry.owner.transaction() as session:
        session.add_all(Ward(id=f"{number:03}", parts=[Bed(ward=f"{number:03}", name="x" * 80)]) for number in range(count))
    read: list[Ward] = []

    def note(ward: Ward, _: object) -> None:
        read.append(ward)

    sa_event.listen(Ward, "load", note)
    run = await ferry.run(WARDS, "fill")
    sa_event.remove(Ward, "load", note)
    assert run.rows == count
    assert count <= len(read) < 3 * count


async def _sizes(ferry: Ferry, action: Callable[[], Awaitable[Any]]) -> Sequence[int]:
    """How many states the messages held."""
    sizes: list[int] = []
    process = ferry.processors[PERSONS.queue].process

    class Counting:
        async def process(self, deliveries: Any) -> None:
            for each in deliveries:
                if each.headers["cloudEvents:type"] == "replica.states":
                    sizes.append(ReplicaStates.read(each.body, 1).count)
            await process(deliveries)

    ferry.processors[PERSONS.queue] = Counting()
    await action()
    return sizes


NUMBERS = st.integers(1, 9)
PLACES = st.integers(0, 50)
STEPS = st.one_of(
    st.tuples(st.just("write"), NUMBERS, st.text("ab", max_size=2)),
    st.tuples(st.just("remove"), NUMBERS),
    st.tuples(st.just("merge"), NUMBERS, NUMBERS),
    st.tuples(st.just("fill")),
    st.tuples(st.just("check")),
    st.tuples(st.just("repair")),
    st.tuples(st.just("damage"), st.sampled_from(["delete", "alter", "age", "advance", "add"]), NUMBERS),
    st.tuples(st.just("deliver"), PLACES),
    st.tuples(st.just("deliver"), PLACES),
    st.tuples(st.just("deliver"), PLACES),
    st.tuples(st.just("repeat"), PLACES),
)  # fmt: skip
DAMAGES = {
    "delete": "DELETE FROM person_reference WHERE id = :id",
    "alter": "UPDATE person_reference SET full_name = full_name || '!' WHERE id = :id",
    "age": "UPDATE person_reference SET state_version = 0, full_name = 'long ago' WHERE id = :id",
    "advance": "UPDATE person_reference SET state_version = state_version + 1000000 WHERE id = :id",
    "add": "INSERT INTO person_reference (id, full_name, state_version, deleted, changed_at, received_at)"
    " VALUES (:id, 'nobody', 1, false, now(), now()) ON CONFLICT DO NOTHING",
}


@given(steps=st.lists(STEPS, min_size=5, max_size=40))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_whatever_happens_ends_equal(ferry: Ferry, steps: list[tuple[Any, ...]]) -> None:
    """Writes, deletes, re-creations, merges, fills, checks, repairs, damage, in any order, delivered in any order and again."""
    await _clean(ferry)
    for step in steps:
        await _take(ferry, *step)
        await ferry.fetch()
    await ferry.settle()
    await ferry.begin(PERSONS, "repair", anew=True)
    await ferry.settle()
    assert await ferry.copies() == await ferry.persons()
    assert (await ferry.run(PERSONS, "check")).drift == {}


async def _clean(ferry: Ferry) -> None:
    ferry.under_way.clear()
    for database, tables in ((ferry.owner, "persons"), (ferry.keeper, "person_reference, backbone.replica_run CASCADE")):
        async with database.transaction() as session:
            await session.execute(text("DELETE FROM backbone.outbox"))
            await session.execute(text(f"TRUNCATE {tables}"))


async def _take(ferry: Ferry, what: str, *how: Any) -> None:
    match what:
        case "write":
            await ferry.write(person(how[0], f"P{how[1]}"))
        case "remove":
            await ferry.remove(person(how[0]).person_id)
        case "merge":
            await ferry.write(person(how[0], "redirects"), person(how[1], "lives on"))
        case "fill" | "check" | "repair":
            await ferry.begin(PERSONS, what, anew=True)
        case "damage":
            await damage(ferry, DAMAGES[how[0]], id=person(how[1]).person_id)
        case "deliver" if ferry.under_way:
            await ferry.deliver(how[0] % len(ferry.under_way))
        case "repeat" if ferry.under_way:
            to, delivery = ferry.under_way[how[0] % len(ferry.under_way)]
            await ferry.processors[to].process([delivery])
