"""Replays, discards and restores of many: one canary first, order per key kept, exactly one effect, all of it written down."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import insert, select, text

from broker import Permanent, _acting, clock
from broker._acting import ActionLoop, Metronome
from broker._actions import Action, Asker, Pace, history, parts, past_of, resume, stop, take_up
from broker._corrections import discard
from broker._keeping import Housekeeping
from broker._replay import Note, Outcome, Retrier
from broker._settings import Settings
from broker._tables import action, discarded_message, replica_drift, replica_run
from tests.broker.failing import ASKER, SETTINGS, Desk, raising

DAYS_90 = timedelta(days=90)


class Torn(Exception):
    """A cause."""


class Soaked(Exception):
    """Another."""


async def failing(desk: Desk, numbers: range, cause: type[Exception], *, times: int = 1) -> list[int]:
    """Dead letters that failed for a cause, and will fail so often again."""
    positions = []
    for number in numbers:
        desk.behaviour[number] = raising(cause(), *[cause() for _ in range(times - 1)])
        position = await desk.fail(f"key-{number}", number, Permanent("never"), attempts=10)
        await desk.retry(position)
        positions.append(position)
    return positions


async def outcomes(desk: Desk, id_: UUID) -> Mapping[int, str | None]:
    """What became of each message of an action, by position."""
    async with desk.database.transaction() as session:
        return {part.position: part.outcome for part in await parts(session, id_, limit=10_000)}


async def test_a_cured_reason_goes_through(desk: Desk) -> None:
    """All of it takes effect, once, and the action says who asked, why, and what became of each."""
    await failing(desk, range(30), Torn)
    ended = await desk.act("replay")
    assert (ended.state, ended.total, ended.outcomes) == ("done", 30, {"took effect": 30})
    assert (ended.asked_by, ended.why) == (ASKER.name, ASKER.why)
    assert await desk.rows() == []
    for number in range(30):
        assert await desk.effects(f"key-{number}") == [number]


async def test_a_cure_that_was_none_stops_after_the_canary(desk: Desk) -> None:
    """One message was tried; the others are as they were. Another reason of the same replay goes through."""
    positions = await failing(desk, range(20), Torn, times=3)
    await failing(desk, range(20, 40), Soaked)
    before = {row.position: row.attempts for row in await desk.rows()}
    ended = await desk.act("replay")
    assert ended.state == "halted"
    assert ended.outcomes == {"failed again": 1, "not tried": 19, "took effect": 20}
    after = {row.position: row.attempts for row in await desk.rows()}
    assert {position for position in positions if after[position] != before[position]} == {positions[0]}


async def test_one_of_the_few_may_show_that_the_cure_was_none(desk: Desk) -> None:
    """A canary that went well proves little: the few after it are looked at just the same."""
    first = await failing(desk, range(1), Torn)
    await failing(desk, range(1, 40), Torn, times=3)
    ended = await desk.act("replay", Pace(canary=1, few=5))
    assert (ended.state, ended.outcomes) == ("halted", {"took effect": 1, "failed again": 1, "not tried": 38})
    assert (await outcomes(desk, ended.id))[first[0]] == "took effect"


async def test_the_rest_goes_on_when_one_fails_for_another_reason(desk: Desk) -> None:
    """After the first of its kind, one that fails otherwise is its own matter; one that fails for the old reason ends it."""
    positions = await failing(desk, range(60), Torn)
    desk.behaviour[40] = raising(Soaked(), Soaked())
    ended = await desk.act("replay", Pace(canary=1, few=5))
    assert (ended.state, ended.outcomes) == ("done", {"took effect": 59, "failed otherwise": 1})
    assert (await outcomes(desk, ended.id))[positions[40]] == "failed otherwise"


async def test_order_of_a_key_is_kept(desk: Desk) -> None:
    """What lies behind a message follows it, whether it was asked for too or not."""
    for key in ("a", "b"):
        await desk.fail(key, 1, Permanent("never"))
        for number in (2, 3, 4):
            await desk.hold(key, number)
    ended = await desk.act("replay", states=("dead",))
    assert ended.outcomes == {"took effect": 2}
    assert (await desk.effects("a"), await desk.effects("b")) == ([1, 2, 3, 4], [1, 2, 3, 4])
    await desk.fail("c", 1, Permanent("never"))
    for number in (2, 3, 4):
        await desk.hold("c", number)
    assert (await desk.act("replay")).state == "done"
    assert await desk.effects("c") == [1, 2, 3, 4]
    assert (await desk.rows(), await desk.held_keys()) == ([], 0)


async def test_what_lies_behind_one_that_is_not_asked_for_stays(desk: Desk) -> None:
    """Nobody makes a message overtake another."""
    await desk.fail("a", 1, Permanent("never"))
    second = await desk.hold("a", 2)
    ended = await desk.act("replay", positions=(second,))
    assert (ended.state, ended.outcomes) == ("done", {"behind": 1})
    assert await desk.effects("a") == []


async def test_the_set_is_chosen_once(desk: Desk) -> None:
    """What fails after a replay began is not part of it."""
    await failing(desk, range(5), Torn)
    begun = await desk.begin("replay")
    await failing(desk, range(5, 8), Torn)
    assert await desk.actions.carry_out(begun.id)
    assert (await desk.look(begun.id)).outcomes == {"took effect": 5}
    assert len(await desk.rows()) == 3


async def test_two_people_press_at_once(desk: Desk, database: Callable[..., Awaitable[str]]) -> None:
    """Two replays of the same messages, in two processes' hands: one effect each, and each says what it found."""
    await failing(desk, range(40), Torn)
    begun = [await desk.begin("replay", asker=Asker(name, "pressed")) for name in ("amani", "baraka")]
    other = ActionLoop(Retrier(desk.database, desk.service))
    await asyncio.gather(desk.actions.carry_out(begun[0].id), other.carry_out(begun[1].id))
    ended = [await desk.look(each.id) for each in begun]
    assert {each.state for each in ended} == {"done"}
    took = [each.outcomes.get("took effect", 0) for each in ended]
    assert sum(took) == 40
    assert all(each.outcomes.get("gone", 0) == 40 - count for each, count in zip(ended, took, strict=True))
    for number in range(40):
        assert await desk.effects(f"key-{number}") == [number]


async def test_one_process_has_an_action_at_a_time(desk: Desk) -> None:
    """Another that looks at it meanwhile leaves it alone."""
    go_on, has_begun = asyncio.Event(), asyncio.Event()

    async def waits(event: object, session: object) -> None:
        has_begun.set()
        await go_on.wait()

    await failing(desk, range(1), Torn)
    desk.behaviour[0] = waits
    begun = await desk.begin("replay")
    first = asyncio.create_task(desk.actions.carry_out(begun.id))
    await has_begun.wait()
    assert not await ActionLoop(desk.retrier).carry_out(begun.id)
    go_on.set()
    assert await first
    assert (await desk.look(begun.id)).outcomes == {"took effect": 1}


async def test_a_replay_is_stopped_and_goes_on(desk: Desk) -> None:
    """What was done stays done; the rest waits for whoever resumes it."""
    await failing(desk, range(10), Torn)
    begun = await desk.begin("replay", Pace(canary=1, few=100))

    async def stops(event: object, session: object) -> None:
        async with desk.database.transaction() as other:
            assert await stop(other, begun.id)

    desk.behaviour[3] = stops
    assert await desk.actions.carry_out(begun.id)
    stopped = await desk.look(begun.id)
    assert (stopped.state, stopped.outcomes) == ("stopped", {"took effect": 4, None: 6})
    del desk.behaviour[3]
    async with desk.database.transaction() as session:
        assert await resume(session, begun.id)
    await desk.actions.run_once()
    assert (await desk.look(begun.id)).outcomes == {"took effect": 10}
    async with desk.database.transaction() as session:
        assert not await stop(session, begun.id)
        assert not await resume(session, begun.id)


async def test_a_rate_is_kept() -> None:
    """Fifty a second are 20 ms each; whoever is late is not hurried afterwards."""
    now, rested = 100.0, []

    async def rest(seconds: float) -> None:
        nonlocal now
        rested.append(round(seconds, 6))
        now += seconds

    metronome = Metronome(50, now=lambda: now, sleep=rest)
    for _ in range(3):
        await metronome.beat()
    now += 1
    for _ in range(2):
        await metronome.beat()
    assert rested == [0.0, 0.02, 0.02, 0.0, 0.02]


async def test_the_rest_is_replayed_at_its_rate(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first of a kind go at once, each of the rest waits its turn, and none of them goes together with others."""
    beats: list[None] = []

    class Counting(Metronome):
        async def beat(self) -> None:
            beats.append(None)

    monkeypatch.setattr("broker._acting.Metronome", Counting)
    await failing(desk, range(12), Torn)
    assert (await desk.act("replay", Pace(canary=1, few=1, rate=50))).outcomes == {"took effect": 12}
    assert len(beats) == 10


async def test_a_message_that_ends_the_process_is_given_up(desk: Desk) -> None:
    """One that was begun three times, and never seen to survive, is not begun again: the others go on."""
    positions = await failing(desk, range(30), Torn)
    begun = await desk.begin("replay")
    async with desk.database.engine.begin() as connection:
        await connection.execute(
            text("UPDATE backbone.action_message SET tries = 3 WHERE position = :position"), {"position": positions[20]}
        )
    assert await desk.actions.carry_out(begun.id)
    ended = await outcomes(desk, begun.id)
    assert ended[positions[20]] == "failed again"
    assert [row.reason for row in await desk.rows(position=positions[20])] == [
        "ended the process 3 times while it was handled alone"
    ]


async def test_what_was_in_hand_when_the_process_ended_is_tried_alone(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of them may have ended it; those behind go together as before."""
    positions = await failing(desk, range(30), Torn)
    begun = await desk.begin("replay", Pace(canary=1, few=1))
    async with desk.database.transaction() as session:
        assert len(await take_up(session, begun.id, after=0, limit=20)) == 20
    together: list[int] = []
    retry_together = desk.retrier.retry_together

    async def spy(subscription: str, kept: Mapping[int, str], note: Note) -> Mapping[int, Outcome]:
        together.extend(kept)
        return await retry_together(subscription, kept, note)

    monkeypatch.setattr(desk.retrier, "retry_together", spy)
    assert await desk.actions.carry_out(begun.id)
    ended = await desk.look(begun.id)
    assert (ended.outcomes, ended.in_hand) == ({"took effect": 30}, None)
    assert together == positions[20:]


async def test_nothing_is_in_hand_of_what_was_stopped(desk: Desk) -> None:
    """Whoever resumes it suspects none of its messages, and an action that does not run gives out none."""
    await failing(desk, range(10), Torn)
    begun = await desk.begin("replay", Pace(canary=1, few=1))

    async def stops(event: object, session: object) -> None:
        async with desk.database.transaction() as other:
            assert await stop(other, begun.id)

    desk.behaviour[5] = stops
    assert await desk.actions.carry_out(begun.id)
    stopped = await desk.look(begun.id)
    assert (stopped.state, stopped.in_hand) == ("stopped", None)
    async with desk.database.transaction() as session:
        assert await take_up(session, begun.id, after=0, limit=20) == []


async def test_a_batch_that_fails_is_tried_one_by_one(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rest is replayed many at a time; the guilty one among them costs the others nothing."""
    monkeypatch.setattr(_acting, "TOGETHER", 50)
    positions = await failing(desk, range(150), Torn)
    desk.behaviour[120] = raising(Soaked(), Soaked())
    ended = await desk.act("replay")
    assert ended.outcomes == {"took effect": 149, "failed otherwise": 1}
    assert [row.position for row in await desk.rows()] == [positions[120]]
    for number in range(150):
        assert await desk.effects(f"key-{number}") == ([] if number == 120 else [number])


async def test_a_batch_leaves_what_lies_behind_others_and_what_took_effect(desk: Desk) -> None:
    """Nothing overtakes a message that is not asked for, and nothing takes effect twice, however many go together."""
    await desk.fail("a", 1, Permanent("never"))
    behind = [await desk.hold("a", number) for number in (2, 3)]
    positions = await failing(desk, range(5), Torn)
    known = "INSERT INTO backbone.inbox (id, subscription, key) SELECT id, subscription, key FROM backbone.failed_message"
    async with desk.database.engine.begin() as connection:
        await connection.execute(text(f"{known} WHERE position = :position"), {"position": positions[4]})
    ended = await desk.act("replay", Pace(canary=1, few=0), positions=(*behind, *positions))
    assert ended.outcomes == {"took effect": 4, "had taken effect": 1, "behind": 2}
    assert await desk.effects("key-4") == await desk.effects("a") == []
    assert (await desk.states("a"), await desk.held_keys()) == (["dead", "held", "held"], 1)


async def test_the_database_knows_how_large_a_replay_is(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its plans are made for so many messages: made for none, each batch would read all of them again."""
    monkeypatch.setattr(_acting, "TOGETHER", 10)
    await failing(desk, range(30), Torn)
    await desk.act("replay")
    async with desk.database.transaction() as session:
        known = await session.scalar(text("SELECT reltuples FROM pg_class WHERE oid = 'backbone.action_message'::regclass"))
    assert known == 30


async def test_discarding_lets_what_lies_behind_go_on(desk: Desk) -> None:
    """A discarded message never has an effect, not when it is delivered again either."""
    delivery, envelope = desk.message("a", 1)
    async with desk.database.transaction() as session:
        await desk.failures.record(session, desk.subscription, delivery, envelope, Permanent("never"))
    await desk.hold("a", 2)
    ended = await desk.act("discard", states=("dead",))
    assert (ended.state, ended.outcomes) == ("done", {"discarded": 1})
    assert await desk.consume(delivery, envelope) == "known"
    assert await desk.consume(*desk.message("a", 3)) == "held"
    await desk.run()
    assert await desk.effects("a") == [2, 3]
    assert await desk.held_keys() == 0


async def test_a_restored_message_is_where_it_was(desk: Desk) -> None:
    """It is a dead letter again, in its old place: what is open of its key goes after it. Nothing took effect by that."""
    position = await desk.fail("a", 1, Permanent("never"))
    before = (await desk.rows())[0]
    discarded = await desk.act("discard")
    await desk.fail("a", 2, Permanent("never"))
    restored = await desk.act("restore", positions=(position,))
    assert (restored.state, restored.outcomes) == ("done", {"restored": 1})
    first, second = await desk.rows()
    assert first == before
    assert await desk.count(discarded_message) == 0
    assert (await desk.retry(second.position)).result == "behind"
    assert (await desk.act("replay")).outcomes == {"took effect": 2}
    assert await desk.effects("a") == [1, 2]
    async with desk.database.transaction() as session:
        assert [(each.verb, part.outcome) for each, part in await past_of(session, position)] == [
            ("discard", "discarded"), ("restore", "restored"), ("replay", "took effect"),
        ]  # fmt: skip
        assert [each.verb for each in await history(session, limit=2)] == ["replay", "restore"]
    assert discarded.total == 1


async def test_discard_and_retry_at_once_agree(desk: Desk) -> None:
    """A discard and a retry of one message at the same time: one of them wins, and the key is free."""
    position = await desk.fail("a", 1, Permanent("never"))
    begun = await desk.begin("discard")
    _, outcome = await asyncio.gather(desk.actions.carry_out(begun.id), desk.retry(position))
    let_go = "discarded" in (await desk.look(begun.id)).outcomes
    assert let_go == (outcome.result == "gone")
    assert await desk.effects("a") == ([] if let_go else [1])
    assert (await desk.rows(), await desk.held_keys()) == ([], 0)


async def test_nothing_expires_unless_the_policy_says_so(desk: Desk) -> None:
    """Dead letters stay; with a policy the old ones are let go, as an action that says so, and can be restored."""
    await desk.fail("a", 1, Permanent("never"))
    keeping = Housekeeping(desk.database, "desk", SETTINGS, lambda: None)
    await keeping.run_once()
    assert len(await desk.rows()) == 1
    async with desk.database.engine.begin() as connection:
        await connection.execute(
            text("UPDATE backbone.failed_message SET last_failed_at = last_failed_at - interval '91 days'")
        )
    await desk.fail("b", 1, Permanent("never"))
    woken: list[None] = []
    from_policy = Settings(database_url=SETTINGS.database_url, amqp_url=SETTINGS.amqp_url, dead_letter_retention=DAYS_90)
    await Housekeeping(desk.database, "desk", from_policy, lambda: woken.append(None)).run_once()
    assert len(woken) == 1
    await desk.actions.run_once()
    assert [row.key for row in await desk.rows()] == ["b"]
    async with desk.database.transaction() as session:
        expired = (await history(session, limit=1))[0]
    assert (expired.verb, expired.asked_by, expired.outcomes) == ("expire", "policy", {"discarded": 1})
    assert (await desk.act("restore")).outcomes == {"restored": 1}


async def test_the_past_is_forgotten_in_time(desk: Desk) -> None:
    """Discarded messages after a month, actions after a year and a month; not before."""
    await desk.fail("a", 1, Permanent("never"))
    await desk.act("discard")
    keeping = Housekeeping(desk.database, "desk", SETTINGS, lambda: None)
    await keeping.run_once()
    assert (await desk.count(discarded_message), await desk.count(action)) == (1, 1)
    async with desk.database.engine.begin() as connection:
        await connection.execute(text("UPDATE backbone.discarded_message SET discarded_at = now() - interval '31 days'"))
        await connection.execute(text("UPDATE backbone.action SET ended_at = now() - interval '401 days'"))
    await keeping.run_once()
    assert (await desk.count(discarded_message), await desk.count(action)) == (0, 0)


async def test_checks_of_replicas_are_forgotten_in_time(desk: Desk) -> None:
    """With what they found, after a year and a month; never what filled a replica, nor the last that was done about one."""
    old, *kept = [
        _run("prices", "check", days=450), _run("prices", "fill", days=500), _run("prices", "check", days=410),
        _run("prices", "check", days=10), _run("prices", "check", days=500, owner="lab"), _run("tests", "check", days=500),
    ]  # fmt: skip
    superseded = kept.pop(1)
    async with desk.database.engine.begin() as connection:
        await connection.execute(insert(replica_run), [old, superseded, *kept])
        await connection.execute(insert(replica_drift).values(run_id=old["id"], key="a", drift="stale"))
    await Housekeeping(desk.database, "desk", SETTINGS, lambda: None).run_once()
    async with desk.database.engine.connect() as connection:
        left = set((await connection.scalars(select(replica_run.c.id))).all())
    assert left == {run["id"] for run in kept}
    assert await desk.count(replica_drift) == 0


def _run(replica: str, purpose: str, *, days: int, owner: str = "") -> dict[str, Any]:
    """A run over a replica that ended so many days ago."""
    at = clock.now() - timedelta(days=days)
    return {
        "id": uuid4(), "replica": replica, "owner": owner, "purpose": purpose, "state": "done", "asked_by": "by itself",
        "columns": [], "began_at": at, "changed_at": at, "ended_at": at,
    }  # fmt: skip


async def test_who_is_discarded_twice_is_discarded_once(desk: Desk) -> None:
    """The second finds it gone."""
    position = await desk.fail("a", 1, Permanent("never"))
    begun: Action = await desk.begin("discard")
    async with desk.database.transaction() as session:
        assert await discard(session, position, begun.id) == "discarded"
    async with desk.database.transaction() as session:
        assert await discard(session, position, begun.id) == "gone"
