"""What the backbone told of a service is kept; replicas of it are filled, checked and repaired from that, owner by owner."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import BigInteger, select, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from broker import DeclarationError, Replica, _answering, _reporting, clock
from broker._health import Messaging
from broker._metrics import Metrics
from broker._presence import FORGOTTEN, Presence
from broker._replica_runs import Place, last_runs, places_of
from broker._reporting import Reporter
from broker._service import check_platform
from broker._tables import change, reporting, told
from broker.testing.scratch import Databases
from contracts.backbone import FailedMessageChanged
from contracts.event import EVERY_SERVICE, StateEvent
from nilecare.platform import services
from services.operations.app import service as operations
from services.operations.replicas import FailedMessageReference, FailureActionReference, ServiceCopyReference
from tests.broker.failing import Desk
from tests.broker.telling import REPLICAS, Tellers, fail, tellers_over

OTHERS = "SELECT xmin::text, * FROM failed_message_reference WHERE service = 'lab' ORDER BY id"


@pytest.fixture
async def tellers(database: Databases, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Tellers]:
    """Billing and the lab, whose messages hold few states, so that a run has many of them."""
    monkeypatch.setattr(_answering, "MOST", 12)
    monkeypatch.setattr(_answering, "LARGEST", 1400)
    async with tellers_over(database, "billing", "lab") as tellers:
        yield tellers


async def filled(tellers: Tellers, *, billing: int = 9, lab: int = 4) -> None:
    """So many messages failed in each, and operations knows of them."""
    await fail(tellers.desks["billing"], *range(1, billing + 1))
    await fail(tellers.desks["lab"], *range(1, lab + 1))
    await tellers.settle()
    await tellers.keep()
    await tellers.settle()


async def test_a_wiped_replica_fills_itself_from_all_its_owners(tellers: Tellers) -> None:
    """While messages fail, are replayed and go on failing in both of them; and it counts rightly what it has."""
    await filled(tellers)
    billing, lab = tellers.desks.values()
    await tellers.damage("TRUNCATE failed_message_reference")
    assert await tellers.rows("SELECT * FROM failure_counts WHERE count <> 0") == []
    await tellers.keep()
    await tellers.fetch()
    step = 0
    while tellers.is_moving:
        await tellers.deliver()
        step += 1
        if step < 12:
            await fail(billing if step % 2 else lab, 100 + step)
            await billing.retry(10 - step) if step < 10 else None
            await lab.retry(step) if step < 4 else None
            await tellers.tell()
        await tellers.fetch()
    assert step > 12
    for owner in ("billing", "lab"):
        assert [(run.purpose, run.state, run.owner) for run in await tellers.runs(tellers.place(owner))] == [
            ("fill", "done", owner), ("fill", "done", owner),
        ]  # fmt: skip
    await tellers.assert_true()


async def test_one_owners_rows_that_are_gone_are_filled_from_it_alone(tellers: Tellers) -> None:
    """Those of the others are there, and nobody asks for them."""
    await filled(tellers)
    await tellers.damage("DELETE FROM failed_message_reference WHERE service = 'billing'")
    others = await tellers.rows(OTHERS)
    await tellers.keep()
    await tellers.settle()
    assert len(await tellers.runs(tellers.place("billing"))) == 2
    assert len(await tellers.runs(tellers.place("lab"))) == 1
    assert await tellers.rows(OTHERS) == others
    await tellers.assert_true()


DAMAGES = (
    "DELETE FROM failed_message_reference WHERE id IN ('{0}/1', '{0}/9')",
    "UPDATE failed_message_reference SET state_version = 0 WHERE id = '{0}/2'",
    "UPDATE failed_message_reference SET state = 'held', attempts = 9 WHERE id = '{0}/3'",
    "UPDATE failed_message_reference SET state_version = 9000000 WHERE id = '{0}/4'",
    "UPDATE failed_message_reference SET id = '{0}/99' WHERE id = '{0}/5'",
    "UPDATE failed_message_reference SET service = 'nobody' WHERE id = '{0}/6'",
    "UPDATE failed_message_reference SET deleted = true WHERE id = '{0}/7'",
)


async def test_damage_is_found_owner_by_owner_and_mended_exactly(tellers: Tellers) -> None:
    """Rows lost, stale, altered, added, and one that claims to be another's; the rows of the other owner are left alone."""
    await filled(tellers, lab=9)
    for damage in DAMAGES:
        for owner in tellers.desks:
            await tellers.damage(damage.format(owner))
    others = await tellers.rows(OTHERS)
    expected = {
        "1": "missing", "9": "missing", "5": "missing", "2": "stale", "3": "altered", "4": "altered", "6": "altered",
        "7": "altered", "99": "surplus",
    }  # fmt: skip
    for owner in tellers.desks:
        place, found = tellers.place(owner), {f"{owner}/{position}": kind for position, kind in expected.items()}
        check = await tellers.run(place, "check")
        assert (await tellers.drift(check), check.rows, check.repaired) == (found, 9, 0)
        assert await tellers.rows(OTHERS) == others
        repair = await tellers.run(place, "repair")
        assert (await tellers.drift(repair), repair.repaired) == (found, len(found))
        assert (await tellers.run(place, "check")).drift == {}
        if owner == "billing":
            assert await tellers.rows(OTHERS) == others
    await tellers.assert_true()


async def test_a_row_that_claims_to_be_anothers_comes_back(tellers: Tellers) -> None:
    """The one is missing it, the other knows nothing of it; whoever looks first, neither takes it from the other."""
    await filled(tellers)
    for first in ("billing", "lab"):
        await tellers.damage("UPDATE failed_message_reference SET service = 'lab' WHERE id = 'billing/3'")
        second = "lab" if first == "billing" else "billing"
        runs = [await tellers.begin(tellers.place(owner), "repair") for owner in (first, second)]
        await tellers.settle()
        assert [(await tellers.look(id_)).state for id_ in runs] == ["done", "done"]
        for owner in tellers.desks:
            await tellers.run(tellers.place(owner), "repair")
        await tellers.assert_true()


async def test_a_row_that_went_back_between_the_looks_is_left_alone(tellers: Tellers) -> None:
    """The lab saw it as one of its own, of which it knew nothing; billing repairs it before the lab looks again."""
    await filled(tellers)
    await tellers.damage("UPDATE failed_message_reference SET service = 'lab' WHERE id = 'billing/3'")
    lab = await tellers.begin(tellers.place("lab"), "repair")
    await tellers.fetch()
    for _ in range(3):  # the question, which both hear, and the first look
        await tellers.deliver()
        await tellers.fetch()
    second_look, tellers.under_way = tellers.under_way, []
    assert second_look
    assert await tellers.drift(await tellers.run(tellers.place("billing"), "repair")) == {"billing/3": "altered"}
    tellers.under_way = second_look
    await tellers.settle()
    assert ((await tellers.look(lab)).state, (await tellers.look(lab)).drift) == ("done", {})
    await tellers.assert_true()


async def test_what_happens_meanwhile_is_no_drift(tellers: Tellers) -> None:
    """Messages fail and are replayed all the time that it is checked; some of it is told and has not arrived yet."""
    await filled(tellers)
    billing, lab = tellers.desks.values()
    checks = [await tellers.begin(tellers.place(owner), "check") for owner in tellers.desks]
    await tellers.fetch()
    step = 0
    while tellers.is_moving:
        await tellers.deliver()
        step += 1
        if step < 20:
            await fail(billing, 200 + step)
            await billing.retry(step) if step < 10 else None
            await lab.retry(step) if step < 5 else None
            if step % 3 == 0:
                await tellers.tell()
        await tellers.fetch()
    assert step > 20
    assert [((await tellers.look(id_)).state, (await tellers.look(id_)).drift) for id_ in checks] == [("done", {})] * 2
    await tellers.assert_true()


async def test_what_was_told_is_known_when_it_is_over(tellers: Tellers) -> None:
    """Its tombstone says how it was told last; what failed and went through before anybody was told leaves nothing."""
    desk = tellers.desks["billing"]
    (kept,) = await fail(desk, 1)
    await tellers.settle()
    (short,) = await fail(desk, 2)
    for position in (kept, short):
        await desk.retry(position)
    await tellers.settle()
    assert await tellers.rows("SELECT id, deleted, reason FROM failed_message_reference") == [("billing/1", True, "never 1")]
    assert (await desk.count(told), await desk.count(change)) == (0, 0)
    await tellers.assert_true()


async def test_a_tombstone_that_was_lost_is_made_up_for(tellers: Tellers) -> None:
    """The owner knows nothing of the message any more: the row is one too many."""
    await filled(tellers)
    await tellers.desks["billing"].retry(5)
    await tellers.tell()
    await tellers.fetch()
    tellers.under_way.clear()
    repair = await tellers.run(tellers.place("billing"), "repair")
    assert await tellers.drift(repair) == {"billing/5": "surplus"}
    await tellers.assert_true()


async def test_a_service_that_was_killed_holds_up_nobody_else(tellers: Tellers) -> None:
    """What is asked of it waits; the others answer, and it does when it is back."""
    await filled(tellers)
    await tellers.damage("TRUNCATE failed_message_reference")
    tellers.down.add("lab")
    await tellers.keep(FailedMessageReference)
    await tellers.settle()
    (_, billing), (_, lab) = [await tellers.runs(tellers.place(owner)) for owner in ("billing", "lab")]
    assert (billing.state, lab.state) == ("done", "running")
    assert {key.partition("/")[0] for key in await tellers.kept()} == {"billing"}
    tellers.down.clear()
    await tellers.assert_true()
    assert (await tellers.look(lab.id)).state == "done"


async def test_nobody_waits_for_a_service_that_left(tellers: Tellers) -> None:
    """What was asked of it is given up; its rows stay, since nobody can say what became of them."""
    await filled(tellers)
    tellers.down.add("lab")
    asked = await tellers.begin(tellers.place("lab"), "repair")
    await tellers.keep()
    assert (await tellers.look(asked)).state == "running"
    lab = tellers.desks["lab"]
    tellers.desks = {"billing": tellers.desks["billing"]}
    await tellers.keep()
    await lab.database.close()
    run = await tellers.look(asked)
    assert (run.state, run.reason) == ("given_up", "its owner is no service of the platform any more")
    assert len(await tellers.rows(OTHERS)) == 4


async def test_what_is_done_about_failures_is_filled_too(tellers: Tellers) -> None:
    """Actions, with their outcomes, from each service that carries them out."""
    await filled(tellers)
    for desk in tellers.desks.values():
        await desk.act("discard", positions=(1, 2))
        await desk.begin("replay", positions=(3,))
    await tellers.settle()
    query = "SELECT id, service, verb, state, outcomes, state_version FROM failure_action_reference ORDER BY id"
    before = await tellers.rows(query)
    assert len(before) == 4
    await tellers.damage("TRUNCATE failure_action_reference")
    for owner in tellers.desks:
        assert (await tellers.run(tellers.place(owner, FailureActionReference), "fill")).rows == 2
    assert await tellers.rows(query) == before
    assert await tellers.kept(FailureActionReference) == await tellers.told(FailureActionReference)


def copy_at(desk: Desk, where: str) -> Presence:
    """What tells how a copy of the desk is doing."""

    async def silent(queues: Iterable[str]) -> None:
        """The broker does not say what is in its queues."""

    metrics = Metrics()
    return Presence(
        desk.database, desk.service, metrics, where=lambda: where, messaging=Messaging, depths=silent, interval=5.0
    )  # fmt: skip


async def test_copies_are_filled_too(database: Databases) -> None:
    """As they described themselves last, to the last number; and they are no drift while they say more."""
    async with tellers_over(database, "desk") as tellers:
        copies = [copy_at(tellers.desks["desk"], f"here:{number}") for number in (1, 2)]
        for copy in copies:
            await copy.run_once()
        await copies[0].close()
        await tellers.settle()
        query = "SELECT id, service, reported_at, described, state_version FROM service_copy_reference ORDER BY id"
        before = await tellers.rows(query)
        assert [(row[0], bool(row[3]["ended_at"])) for row in before] == [("desk@here:1", True), ("desk@here:2", False)]
        await tellers.damage("TRUNCATE service_copy_reference")
        assert (await tellers.run(tellers.place("desk", ServiceCopyReference), "fill")).rows == 2
        assert await tellers.rows(query) == before
        check = await tellers.begin(tellers.place("desk", ServiceCopyReference), "check")
        clock.shift += timedelta(hours=1)
        await copies[1].run_once()
        await tellers.settle()
        assert ((await tellers.look(check)).state, (await tellers.look(check)).drift) == ("done", {})
        assert await tellers.kept(ServiceCopyReference) == await tellers.told(ServiceCopyReference)


async def test_copies_that_are_no_more_are_forgotten(database: Databases) -> None:
    """One that was killed stays for a week, as operations shows it; then those that are there let it go."""
    async with tellers_over(database, "desk") as tellers:
        killed, alive = [copy_at(tellers.desks["desk"], f"here:{number}") for number in (1, 2)]
        await killed.run_once()
        clock.shift += FORGOTTEN - timedelta(minutes=1)
        await alive.run_once()
        await tellers.settle()
        assert set(await tellers.kept(ServiceCopyReference)) == {"desk@here:1", "desk@here:2"}
        clock.shift += timedelta(minutes=2)
        await alive.run_once()
        await tellers.settle()
        assert set(await tellers.kept(ServiceCopyReference)) == {"desk@here:2"} == set(await tellers.told(ServiceCopyReference))


async def test_whoever_is_not_done_telling_says_so(tellers: Tellers, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it has not told yet would look as if it had never failed."""
    desk = tellers.desks["billing"]
    await filled(tellers)
    async with desk.database.transaction() as session:
        await session.execute(text("DELETE FROM backbone.told"))
        await session.execute(text("UPDATE backbone.reporting SET is_whole = false, noted = NULL"))
    reporter = Reporter(desk.database, "billing", is_heard=True)
    monkeypatch.setattr(_reporting, "AT_ONCE", 5)
    for _ in range(3):  # before all is noted, when none of it is told, and when some of it is
        id_ = await tellers.begin(tellers.place("billing"), "repair")
        await tellers.fetch()
        while tellers.is_moving:
            await tellers.deliver()
            await tellers.fetch()
        run = await tellers.look(id_)
        assert (run.state, run.drift) == ("given_up", {})
        assert "has not told yet everything that failed" in (run.reason or "")
        await reporter.run_once()
    await tellers.settle()
    run = await tellers.run(tellers.place("billing"), "repair")
    assert (run.state, run.drift, run.rows) == ("done", {}, 9)
    await tellers.assert_true()


async def test_where_nobody_hears_nothing_is_kept(tellers: Tellers) -> None:
    """And whoever hears it later is told everything that there is then."""
    desk = tellers.desks["billing"]
    await filled(tellers)
    await Reporter(desk.database, "billing", is_heard=False).run_once()
    assert (await desk.count(told), await desk.count(change)) == (0, 0)
    await desk.retry(1)
    await tellers.settle()
    async with desk.database.transaction() as session:
        assert (await session.execute(select(reporting.c.is_whole))).scalar_one()
    assert len(await tellers.told()) == 8 + 4
    await tellers.run(tellers.place("billing"), "repair")
    await tellers.assert_true()


async def test_everybody_is_asked_for_its_own(tellers: Tellers) -> None:
    """Each service of the platform, for each of the three; what one service owns is asked for once."""
    platform = services()
    places = places_of(operations, check_platform(platform))
    for replica in REPLICAS:
        asked = [place for place in places if place.replica is replica]
        assert [place.owner for place in asked] == sorted(service.name for service in platform)
    rest = [place for place in places if place.replica not in REPLICAS]
    assert len(rest) == len(operations.replicated) - len(REPLICAS)
    assert {place.owner for place in rest} == {None}
    with pytest.raises(ValueError, match="an owner is named where every service"):
        Place("operations", FailedMessageReference)


async def test_operations_is_told_of_each(tellers: Tellers) -> None:
    """The last run of each owner, by its name."""
    await filled(tellers)
    async with tellers.keeper.transaction() as session:
        told = {(each.name, each.owner): each.rows for each in await last_runs(session)}
    assert told["failed_message_reference", "billing"] == 9
    assert told["failed_message_reference", "lab"] == 4
    assert len(told) == 2 * len(REPLICAS)


class RumourSpread(StateEvent, name="rumour.spread", version=1, key="rumour_id", publisher=EVERY_SERVICE):
    """What every service says, and none says that it was it."""

    rumour_id: str


class Base(DeclarativeBase):
    """Of what follows."""


class RumourReference(Replica[RumourSpread], Base):
    """A copy of what cannot be asked for."""

    __tablename__ = "rumour_reference"


class AnonymousReference(Replica[FailedMessageChanged], Base):
    """A copy that forgets of whom it is."""

    __tablename__ = "anonymous_reference"

    position: Mapped[int] = mapped_column(BigInteger)


@pytest.mark.parametrize("replica", [RumourReference, AnonymousReference])
def test_a_copy_says_of_whom_it_is(replica: type[Replica[Any]]) -> None:
    """Else nobody could be asked for their part of it."""
    with pytest.raises(DeclarationError, match="give both the contract and the replica a `service`"):
        replica.subscription()


OWNERS = st.sampled_from(["billing", "lab"])
NUMBERS = st.integers(1, 9)
PLACES = st.integers(0, 50)
STEPS = st.one_of(
    st.tuples(st.just("fail"), OWNERS),
    st.tuples(st.just("replay"), OWNERS, NUMBERS),
    st.tuples(st.just("tell")),
    st.tuples(st.sampled_from(["fill", "check", "repair"]), OWNERS),
    st.tuples(st.just("damage"), OWNERS, st.sampled_from(DAMAGES)),
    st.tuples(st.just("deliver"), PLACES),
    st.tuples(st.just("deliver"), PLACES),
    st.tuples(st.just("repeat"), PLACES),
)  # fmt: skip


@given(steps=st.lists(STEPS, min_size=5, max_size=30))
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_whatever_happens_ends_equal(tellers: Tellers, steps: list[tuple[Any, ...]]) -> None:
    """Failing, replaying, telling, runs and damage, in any order, delivered in any order and again."""
    await _clean(tellers)
    for step in steps:
        await _take(tellers, *step)
        await tellers.fetch()
    await tellers.settle()
    for owner in tellers.desks:
        await tellers.begin(tellers.place(owner), "repair", anew=True)
        await tellers.settle()
    await tellers.assert_true()
    for owner in tellers.desks:
        assert (await tellers.run(tellers.place(owner), "check")).drift == {}


FAILING = ", ".join(
    f"backbone.{name}"
    for name in ("failed_message", "held_key", "failure_count", "wording_count", "word_summary", "change", "told", "outbox")
)
"""What a desk has of messages that failed."""


async def _clean(tellers: Tellers) -> None:
    tellers.under_way.clear()
    for desk in tellers.desks.values():
        async with desk.database.transaction() as session:
            await session.execute(text(f"TRUNCATE {FAILING} RESTART IDENTITY"))
    await tellers.damage("TRUNCATE failed_message_reference, backbone.replica_run, backbone.outbox CASCADE")


async def _take(tellers: Tellers, what: str, *how: Any) -> None:
    match what:
        case "fail":
            await fail(tellers.desks[how[0]], 1)
        case "replay":
            await tellers.desks[how[0]].retry(how[1])
        case "tell":
            await tellers.tell()
        case "fill" | "check" | "repair":
            await tellers.begin(tellers.place(how[0]), what, anew=True)
        case "damage":
            gone = f"DELETE FROM failed_message_reference WHERE id = '{how[0]}/99'"
            for statement in (gone, how[1].format(how[0])):
                await tellers.damage(statement)
        case "deliver" if tellers.under_way:
            await tellers.deliver(how[0] % len(tellers.under_way))
        case "repeat" if tellers.under_way:
            to, delivery = tellers.under_way[how[0] % len(tellers.under_way)]
            await tellers.processors[to].process([delivery])
