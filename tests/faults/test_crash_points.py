"""A process dies at each of its crash points and is started again: all has one effect, in order, and nothing is lost."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest

from broker._actions import Verb
from broker._crash_points import CrashPoint
from broker.servers import Servers
from broker.testing.scratch import Databases, VirtualHosts
from tests.faults.evening import Deed, Evening, nothing
from tests.faults.kitchen import Menu
from tests.waiting import until

TODAY = Menu()


@dataclass(frozen=True, kw_only=True)
class Case:
    """How the kitchen comes to a point.

    first: what is done while it is at work. prepare: what then, when it is about to die, at work or (from_start) not at work
    again yet. meanwhile: while it is at work. later: when it has died and is at work once more. times: how often it passes the
    point until it dies. deaths: points where it dies before that. menu: the code from then on. copy: how the copy that dies
    differs. is_second: whether it is a second copy that dies, while the first is at work.
    """

    name: str = ""
    first: Deed = nothing
    prepare: Deed = nothing
    meanwhile: Deed = nothing
    later: Deed = nothing
    times: int = 1
    from_start: bool = False
    deaths: tuple[CrashPoint, ...] = ()
    menu: Menu = TODAY
    copy: Mapping[str, Any] = field(default_factory=dict)
    is_second: bool = False


async def order(evening: Evening) -> None:
    """Dishes that nothing is the matter with."""
    await evening.order("", "", "")


async def order_what_waits(evening: Evening) -> None:
    """A dish for a table of which the kitchen does not know yet, and one behind it."""
    await evening.order_anew("seated", "")
    await evening.has_failed(2)


async def order_what_burns(evening: Evening) -> None:
    """A dish that becomes a dead letter."""
    await evening.set_on_fire()
    await evening.order_anew("burnt")


async def cure(evening: Evening) -> None:
    """Everything is cooked that burnt."""
    await evening.has_failed(1)
    await evening.put_out()
    await evening.retry_the_dead()


async def restore(evening: Evening) -> None:
    """What was let go is taken back, and cooked."""
    await evening.put_out()
    await evening.acted()
    await evening.begin("restore")
    await evening.acted()
    await evening.retry_the_dead()


def burning(tables: int = 1, behind: int = 0) -> Deed:
    """So many dead letters, each with so many messages behind it."""
    return lambda evening: evening.burn(tables=tables, behind=behind)


def begin(verb: Verb, *, is_cured: bool = True) -> Deed:
    """Somebody wants that done about them, after the fire is out or while it burns."""

    async def deed(evening: Evening) -> None:
        if is_cured:
            await evening.put_out()
        await evening.begin(verb)

    return deed


async def ask_for_replay(evening: Evening) -> None:
    """Somebody in operations wants a replay once the fire is out."""
    await evening.put_out()
    await evening.ask()


async def replay_what_is_gone(evening: Evening) -> None:
    """Somebody wants a replay of what somebody else then retries."""
    await evening.put_out()
    await evening.begin("replay")
    await evening.retry_the_dead()


async def give_up_in_vain(evening: Evening) -> None:
    """The replay has come to its end, and the fire is put out only then."""
    await evening.acted()
    await evening.put_out()
    await evening.retry_the_dead()


async def break_off(evening: Evening) -> None:
    """A request whose answer never comes."""
    assert await evening.heat_up() is None


async def break_off_second(evening: Evening) -> None:
    """The same, of the second copy, or its answer: it dies for having told the first one."""
    await evening.heat_up(place=1)


async def stop(evening: Evening) -> None:
    """The kitchen is asked to end once all is cooked."""
    await until(evening.is_cooked)
    evening.kitchen.terminate()


async def lose_a_message(evening: Evening) -> None:
    """The broker gives up a dish at a table of its own."""
    await evening.order_anew("")
    await evening.give_up()


async def retry(evening: Evening) -> None:
    """What the broker gave up is cooked."""
    await evening.has_failed(1)
    await evening.retry_the_dead()


async def order_while_closed(evening: Evening) -> None:
    """A dish whose spice cannot be bought now."""
    evening.market.unlink()
    await evening.order("spicy")


async def open_market(evening: Evening) -> None:
    """Now it can."""
    evening.market.touch()


async def rename(evening: Evening) -> None:
    """Dishes that are ordered under the old name."""
    await order(evening)
    await evening.rename()


async def erase(evening: Evening) -> None:
    """Whoever waits for a dish that burnt wants to be forgotten."""
    await evening.put_out()
    await evening.erase()


async def retry_forgotten(evening: Evening) -> None:
    """The dish is cooked, for nobody."""
    await evening.has_forgotten()
    await evening.retry_the_dead()


def forget(table: str) -> Deed:
    """The kitchen does not know of its own replicas what stands in a table of the backbone."""
    return lambda evening: evening.run("kitchen", f"DELETE FROM backbone.{table} WHERE replica = 'table_copy'")


def ordered(*hows: str) -> Deed:
    """Dishes to be cooked like that."""
    return lambda evening: evening.order(*hows)


BROKEN_OFF = Case(meanwhile=break_off, later=Evening.heat_up_once)
ORDERED = Case(prepare=order)
KEPT = Case(prepare=order_what_burns, later=cure)
SUSPECT = Case(from_start=True, prepare=order, deaths=(CrashPoint.BATCH_TAKEN,) * 2)
LOST = Case(from_start=True, prepare=lose_a_message, later=retry)
WOKEN = Case(first=order_what_waits, prepare=Evening.lay, later=Evening.end_claims)
LAID = Case(name="a state", prepare=Evening.lay)
FILLED = Case(name="a fill", from_start=True, prepare=forget("replica_run"))
REPLAYED = Case(from_start=True, first=burning(tables=3, behind=1), prepare=begin("replay"), later=Evening.replayed)
VAIN = Case(from_start=True, first=burning(tables=3), prepare=begin("replay", is_cured=False), later=give_up_in_vain)
SPICY = Case(prepare=ordered("spicy"))
EXPIRING = {"settings": {"dead_letter_retention": timedelta()}}

CASES: Mapping[CrashPoint, Sequence[Case]] = {
    CrashPoint.COMMAND_HANDLED: [BROKEN_OFF],
    CrashPoint.COMMAND_COMMITTED: [BROKEN_OFF],
    CrashPoint.EVENTS_COMMITTED: [ORDERED],
    CrashPoint.RELAY_NOTIFIED: [
        Case(first=Evening.heat_up_once, meanwhile=break_off_second, later=Evening.heat_up_once, is_second=True)
    ],
    CrashPoint.EVENTS_SENT: [ORDERED],
    CrashPoint.EVENTS_CONFIRMED: [ORDERED],
    CrashPoint.EVENTS_DELETED: [ORDERED],
    CrashPoint.OUTBOX_ROTATED: [replace(ORDERED, from_start=True, copy={"rotate_after": 2})],
    CrashPoint.OUTBOX_TRUNCATED: [replace(ORDERED, from_start=True, copy={"rotate_after": 2}, times=3)],
    CrashPoint.LOW_WATER_SAVED: [Case(prepare=order, meanwhile=stop)],
    CrashPoint.BATCH_TAKEN: [ORDERED],
    CrashPoint.BATCH_HANDLED: [ORDERED],
    CrashPoint.BATCH_COMMITTED: [
        ORDERED,
        Case(name="states for a replica", prepare=Evening.ask_for_stoves),
        Case(name="an erasure", first=burning(), prepare=erase, later=retry_forgotten),
    ],
    CrashPoint.BATCH_ACKNOWLEDGED: [ORDERED],
    CrashPoint.FAILURE_KEPT: [KEPT],
    CrashPoint.ATTEMPT_COUNTED: [SUSPECT],
    CrashPoint.ATTEMPT_FORGOTTEN: [SUSPECT],
    CrashPoint.GIVEN_UP_KEPT: [LOST],
    CrashPoint.GIVEN_UP_ACKNOWLEDGED: [LOST],
    CrashPoint.REPLICA_WRITTEN: [LAID, FILLED],
    CrashPoint.REPLICA_COMMITTED: [LAID, FILLED, replace(WOKEN, name="what was waited for")],
    CrashPoint.REPLICA_RUN_BEGUN: [FILLED],
    CrashPoint.MARK_ASKED_FOR: [Case(from_start=True, prepare=forget("replica_mark"))],
    CrashPoint.MESSAGES_WOKEN: [Case(from_start=True, first=Evening.order_newer, menu=Menu(newer=True))],
    CrashPoint.RETRY_CLAIMED: [WOKEN],
    CrashPoint.RETRY_HANDLED: [WOKEN],
    CrashPoint.RETRY_COMMITTED: [WOKEN],
    CrashPoint.RETRY_FAILED: [Case(first=Evening.order_what_waits_and_burns, prepare=Evening.lay, later=cure)],
    CrashPoint.OPERATION_ANSWERED: [Case(from_start=True, first=burning(tables=2, behind=1), prepare=ask_for_replay)],
    CrashPoint.DEAD_LETTERS_EXPIRED: [Case(from_start=True, first=burning(tables=2), copy=EXPIRING, later=restore)],
    CrashPoint.REPLAY_RESUMED: [REPLAYED],
    CrashPoint.REPLAY_TAKEN_UP: [REPLAYED],
    CrashPoint.REPLAY_HANDLED: [REPLAYED],
    CrashPoint.REPLAY_COMMITTED: [REPLAYED],
    CrashPoint.REPLAY_COUNTED: [REPLAYED],
    CrashPoint.REPLAY_NOTED: [Case(from_start=True, first=burning(tables=2), prepare=replay_what_is_gone)],
    CrashPoint.REPLAY_GIVEN_UP: [VAIN],
    CrashPoint.MESSAGE_CHANGED: [Case(from_start=True, first=burning(tables=2), prepare=begin("discard"), later=restore)],
    CrashPoint.ACTION_ENDED: [REPLAYED],
    CrashPoint.SCHEDULE_PROMOTED: [Case(prepare=ordered("slow", "slow"))],
    CrashPoint.CALL_CLAIMED: [SPICY],
    CrashPoint.CALL_MADE: [SPICY],
    CrashPoint.CALL_HANDLED: [SPICY],
    CrashPoint.CALL_COMMITTED: [SPICY],
    CrashPoint.CALL_NOTED: [Case(prepare=order_while_closed, later=open_market)],
    CrashPoint.FAILURES_REPORTED: [KEPT],
    CrashPoint.PRESENCE_REPORTED: [Case(from_start=True, menu=Menu(watched=True))],
    CrashPoint.HOUSEKEEPING_DONE: [Case(from_start=True, prepare=Evening.lose_partitions, times=2)],
    CrashPoint.RENAME_FOLLOWED: [Case(from_start=True, prepare=rename, menu=Menu(renamed=True))],
}
"""Each point, with the ways in which the kitchen comes to it. Renaming is the last: nothing has the old name again."""


EACH = [
    pytest.param(point, case, id=f"{point.name} ({case.name})" if case.name else point.name)
    for point, cases in CASES.items()
    for case in cases
]


@pytest.fixture(scope="module")
async def evenings(
    servers: Servers, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Callable[[], Awaitable[Evening]]]:
    """Gives the evening that goes on from test to test; another one after a test that failed."""
    databases, hosts, opened = Databases(servers.postgres_url), VirtualHosts(servers), list[Evening]()

    async def current() -> Evening:
        if not opened or not opened[-1].is_sound:
            opened.append(await Evening(servers, databases, hosts, tmp_path_factory.mktemp("evening")).open())
        return opened[-1]

    yield current
    for evening in opened:
        await evening.close()
    await databases.drop()
    await hosts.drop()


def test_each_point_is_come_to() -> None:
    """There is a case for every point that the backbone names."""
    assert CASES.keys() == set(CrashPoint)


@pytest.mark.parametrize(("point", "case"), EACH)
async def test_dies(point: CrashPoint, case: Case, evenings: Callable[[], Awaitable[Evening]]) -> None:
    """Dead at the point and started again, the kitchen has done everything once, in order, as if nothing had been."""
    evening = await evenings()
    evening.is_sound, evening.menu = False, case.menu
    await case.first(evening)
    if case.is_second:
        victim = evening.start_second(point)
    elif not case.from_start:
        victim = await evening.arm(point, case.times)
        await case.prepare(evening)
    else:
        await evening.close_kitchen()
        await case.prepare(evening)
        for earlier in case.deaths:
            await evening.dies(evening.start_kitchen(dies_at=(earlier, 1)))
        victim = evening.start_kitchen(dies_at=(point, case.times), **case.copy)
    await case.meanwhile(evening)
    await evening.dies(victim)
    if not case.is_second:
        evening.start_kitchen()
    await case.later(evening)
    await evening.proven()
    evening.is_sound = True
