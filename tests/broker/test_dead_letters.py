"""A person finds failed messages, sees how urgent they are, and lets them go without harm to the rest."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncSession

from broker import Later, Newer, Permanent
from broker._dead_letters import FailedMessage, Filter, Group, count, find, groups, tally
from broker._keeping import Housekeeping
from broker._tables import failure_count
from broker._words import NEAR, SPAN
from tests.broker.failing import SETTINGS, Desk, raising


async def found(desk: Desk, with_body: bool = False, **wanted: object) -> list[FailedMessage]:
    async with desk.database.transaction() as session:
        return await find(session, Filter(**wanted), with_body=with_body)  # type: ignore[arg-type]


async def test_filters_select(desk: Desk) -> None:
    """Each filter narrows; together they all hold; a message is found by its id or its number."""
    dead = await desk.fail("a", 1, Permanent("never"))
    await desk.hold("a", 2)
    await desk.fail("b", 3, Later("busy"))
    first = (await found(desk))[0]
    assert [message.key for message in await found(desk)] == ["a", "a", "b"]
    assert [message.position for message in await found(desk, states=("dead",))] == [dead]
    assert len(await found(desk, key="a", subscription="count", type="shop.sold")) == 2
    assert [message.position for message in await found(desk, ids=(first.id,))] == [dead]
    assert [message.position for message in await found(desk, positions=(dead,), flow=first.flow)] == [dead]
    assert await found(desk, key="a", states=("retrying",)) == []


async def test_what_lies_behind_is_counted(desk: Desk) -> None:
    """The head says how many wait for it; the tally says how many dead ones block."""
    await desk.fail("a", 1, Permanent("never"))
    await desk.hold("a", 2)
    await desk.hold("a", 3)
    await desk.fail("b", 1, Permanent("never"))
    assert [message.behind for message in await found(desk)] == [2, 0, 0, 0]
    async with desk.database.transaction() as session:
        counted = [(each.subscription, each.state, each.count, each.blocking) for each in await tally(session)]
    assert counted == [("count", "dead", 2, 1), ("count", "held", 2, 0)]


async def test_a_body_is_read_only_on_request(desk: Desk) -> None:
    """Body and properties stay in the database unless asked for."""
    await desk.fail("a", 1, Permanent("never"))
    message = (await found(desk))[0]
    assert (message.body, message.properties) == (None, None)
    message = (await found(desk, with_body=True))[0]
    assert message.body == b'{"item":"a","number":1}'
    assert message.properties is not None


async def test_each_state_says_what_is_next(desk: Desk) -> None:
    """Whoever looks learns whether it heals by itself."""
    await desk.fail("a", 1, Permanent("never"))
    await desk.hold("a", 2)
    await desk.fail("b", 1, Later("busy"))
    await desk.fail("c", 1, Newer("v3"), version=3)
    steps = [message.next_step for message in await found(desk)]
    assert [step.split()[0] for step in steps] == ["somebody", "goes", "is", "goes"]
    assert "deploy" in steps[3]


async def test_pages_follow_each_other(desk: Desk) -> None:
    """Page after page, each message is seen once, whatever went meanwhile."""
    positions = [await desk.fail(f"key-{number}", number, Permanent("never")) for number in range(5)]
    async with desk.database.transaction() as session:
        first = await find(session, Filter(), limit=2)
    await desk.retry(positions[1])
    async with desk.database.transaction() as session:
        second = await find(session, Filter(), limit=2, after=first[-1].position)
        third = await find(session, Filter(), limit=2, after=second[-1].position)
    assert [each.position for each in (*first, *second, *third)] == positions


async def test_the_words_of_a_failure_are_found(desk: Desk) -> None:
    """Words, or their beginnings, of reason or fingerprint find a message; all of them have to be there."""
    closed = await desk.fail("a", 1, Permanent("an invoice that is closed takes no money"))
    await desk.fail("b", 1, Permanent("a sample without a label"))

    async def found_by(text: str) -> list[int]:
        return [message.position for message in await found(desk, text=text)]

    assert await found_by("closed invoice") == [closed]
    assert await found_by("INVO takes") == [closed]
    assert await found_by("invoice sample") == []
    assert len(await found_by("permanent")) == 2
    assert await found_by("!&|' ()") == []


async def test_when_it_failed_is_found(desk: Desk) -> None:
    """From a time on, and until before another."""
    await desk.fail("a", 1, Permanent("never"))
    at = (await found(desk))[0].last_failed_at
    assert len(await found(desk, since=at, until=at + timedelta(seconds=1))) == 1
    assert await found(desk, since=at + timedelta(seconds=1)) == []
    assert await found(desk, until=at) == []


async def grouped(desk: Desk, **wanted: object) -> list[Group]:
    async with desk.database.transaction() as session:
        return await groups(session, Filter(**wanted))  # type: ignore[arg-type]


async def test_what_failed_for_one_reason_is_one_group(desk: Desk) -> None:
    """The largest first; with a filter for anything else than the group itself, what is left of each is counted."""
    desk.behaviour |= {number: raising(KeyError("Amina")) for number in (1, 2, 3)}
    for number in (1, 2, 3):
        await desk.retry(await desk.fail(f"key-{number}", number, Permanent("never")))
    await desk.fail("b", 4, Permanent("never"))
    await desk.hold("b", 5)
    assert [(each.state, each.count) for each in await grouped(desk)] == [("retrying", 3), ("dead", 1), ("held", 1)]
    largest = (await grouped(desk, states=("retrying",)))[0]
    assert largest.fingerprint == "KeyError in tests.broker.failing.raising.<locals>.behave"
    assert largest.oldest <= largest.newest
    assert [(each.fingerprint, each.count) for each in await grouped(desk, key="key-1")] == [(largest.fingerprint, 1)]


async def test_a_group_failed_last_when_any_of_its_messages_did(desk: Desk) -> None:
    """Also when an old one failed again, in a replay say: as a whole, by words, by a value, and with any other filter."""
    desk.behaviour |= {number: raising(*[Permanent("the account is closed (on=2026-11-28)")] * 3) for number in (1, 2, 3)}
    old, *_ = positions = [await desk.fail(f"key-{number}", number, Permanent("never")) for number in (1, 2, 3)]
    for position in (*positions, old):
        await desk.retry(position)
    (last,) = [message.last_failed_at for message in await found(desk, positions=(old,))]
    for wanted in ({}, {"text": "account"}, {"text": "2026"}, {"type": "shop.sold"}, {"text": "closed", "type": "shop.sold"}):
        assert [(each.count, each.newest) for each in await grouped(desk, **wanted)] == [(3, last)], wanted
    assert [each.newest < last for each in await grouped(desk, key="key-3")] == [True]


async def test_counts_are_true_whatever_happens(desk: Desk) -> None:
    """What is counted as it changes equals what is there, through failing, holding, waking, discarding and going through."""
    for number in range(20):
        await desk.fail(f"key-{number % 4}", number, Permanent("never"))
        await desk.hold(f"key-{number % 4}", 100 + number)
    for row in (await desk.rows())[:10]:
        await desk.retry(row.position)
    await desk.run()
    keeping = Housekeeping(desk.database, "desk", SETTINGS, lambda: None)
    for _ in range(2):
        async with desk.database.transaction() as session:
            counted = {(each.state, each.fingerprint): each.count for each in await groups(session, Filter())}
            assert await count(session, Filter()) == len(await desk.rows())
        there = Counter((row.state, row.fingerprint) for row in await desk.rows())
        assert counted == there
        await keeping.run_once()
    assert await desk.count(failure_count) == len(there)


async def test_finding_reads_no_more_when_there_are_many(desk: Desk) -> None:
    """A page, the groups and a count read as many rows of twenty thousand as of twenty."""
    position = await desk.fail("a", 1, Permanent("an invoice that is closed takes no money"))
    rare = await desk.fail("rare", 2, Permanent("a sample without a label"))
    await fill(desk, MANY, position=position)
    flow = (await desk.rows(position=rare))[0].flow
    pages = [Filter(states=("dead",)), Filter(key="rare"), Filter(flow=flow), Filter(positions=(rare,))]
    for wanted in pages:
        async with desk.database.transaction() as session:
            before = await rows_read(session)
            page = await find(session, wanted, limit=50)
            assert (len(page), await rows_read(session) - before <= 200) == (50 if wanted.states else 1, True), wanted
    async with desk.database.transaction() as session:
        before = await rows_read(session)
        assert [each.count for each in await groups(session, Filter(states=("dead",)))] == [20_002]
        assert await count(session, Filter()) == 20_002
        assert await rows_read(session) - before <= 10


async def test_last_failures_read_no_more_when_there_are_many(desk: Desk) -> None:
    """When each of two groups of ten thousand failed last is found by a few entries of the indexes, with words and without."""
    await fill(desk, WORDED)
    await fill(desk, LATER)
    (again, *_, last) = [row.last_failed_at for row in await desk.rows()]
    async with desk.database.transaction() as session:
        for wanted in (Filter(), Filter(text="desk")):
            before = await entries_read(session)
            found = {each.fingerprint: (each.count, each.newest) for each in await groups(session, wanted)}
            assert found == {"Refused in desk": (10_000, again), "Late in desk": (10_000, last)}
            assert await entries_read(session) - before <= 60, wanted


async def test_a_search_reads_no_more_when_there_are_many(desk: Desk) -> None:
    """A page of words that half, few or none have, here or far away, reads hardly more rows of twenty thousand than of two."""
    await fill(desk, WORDED)
    sizes = {"near": 50, "far": 50, "far refused": 50, "seldom": 20}
    sizes |= dict.fromkeys(("near far", "near seldom", "nothing", "far subscription"), 0)
    for said, size in sizes.items():
        for wanted in (Filter(text=said), Filter(text=said, states=("dead",), type="shop.sold")):
            async with desk.database.transaction() as session:
                before = await rows_read(session)
                page = await find(session, wanted, limit=50)
                assert (len(page), await rows_read(session) - before < NEAR + 500) == (size, True), wanted


async def test_values_are_looked_for_where_they_are(desk: Desk) -> None:
    """A page of what a fifth say by values, all far away, or one in 400 anywhere, reads no more than the spans it is of."""
    await fill(desk, WORDED)
    found = {"2027": (50, 2), "far 2027": (50, 2), "2027 11 28": (50, 2), "2028": (50, 50), "2027 2028": (10, 10)}
    for said, (size, spans) in found.items():
        async with desk.database.transaction() as session:
            rows, entries, walks = await rows_read(session), await entries_read(session), await session.scalar(WALKS)
            assert len(await find(session, Filter(text=said), limit=50)) == size, said
            assert await rows_read(session) - rows < NEAR + spans * SPAN + 200, said
            assert await entries_read(session) - entries < NEAR + spans * SPAN + 500, said
            assert await session.scalar(WALKS) == walks, said


async def test_counting_words_reads_no_more_when_there_are_many(desk: Desk) -> None:
    """Counting and grouping what half, few or none say reads a few entries of the indexes, however many say it."""
    await fill(desk, WORDED)
    for said, size in {"far": 9_990, "near refused": 9_990, "seldom": 20, "near far": 0, "refused": 20_000}.items():
        for wanted in (Filter(text=said), Filter(text=said, states=("dead",), subscription="sell")):
            async with desk.database.transaction() as session:
                before = await entries_read(session)
                assert [each.count for each in await groups(session, wanted)] == [size] * (size > 0), wanted
                assert await count(session, wanted) == size, wanted
                assert await entries_read(session) - before <= 50, wanted


async def fill(desk: Desk, statement: TextClause, **values: int) -> None:
    """Many messages, by a statement, of which PostgreSQL and Housekeeping know what they know of any after a while."""
    async with desk.database.engine.begin() as connection:
        await connection.execute(statement, values)
    await Housekeeping(desk.database, "desk", SETTINGS, lambda: None).run_once()
    async with desk.database.engine.connect() as connection:
        await (await connection.execution_options(isolation_level="AUTOCOMMIT")).execute(text("VACUUM ANALYZE"))


async def entries_read(session: AsyncSession) -> int:
    """Entries of the indexes of `failed_message` that this connection has read, and rows, where it read without an index."""
    read = text(
        "SELECT pg_stat_get_xact_tuples_returned('backbone.failed_message'::regclass)"
        " + sum(pg_stat_get_xact_tuples_returned(indexrelid))"
        " FROM pg_index WHERE indrelid = 'backbone.failed_message'::regclass"
    )
    return int(await session.scalar(read) or 0)


async def rows_read(session: AsyncSession) -> int:
    """Rows of `failed_message` that this connection has read, as far as PostgreSQL has not summed them up elsewhere."""
    read = text("SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = 'failed_message'")
    return int(await session.scalar(read) or 0)


WALKS = text("SELECT seq_scan FROM pg_stat_xact_user_tables WHERE relname = 'word_summary'")
"""How often this connection has read all summaries."""

LATER = text(
    """
    UPDATE backbone.failed_message SET fingerprint = CASE WHEN position > 10000 THEN 'Late in desk' ELSE fingerprint END,
        last_failed_at = now() + CASE WHEN position = 1 THEN 10000.5 ELSE position END * interval '1 second'
    """
)
"""Two groups, the second of which failed later than all of the first, whose first message failed again."""

MANY = text(
    """
    INSERT INTO backbone.failed_message (subscription, id, state, type, version, key, sequence, exchange, routing_key,
        properties, body, error, reason, attempts, first_failed_at, last_failed_at, fingerprint)
    SELECT subscription, gen_random_uuid(), state, type, version, 'key-' || number, sequence, exchange, routing_key,
        properties, body, error, reason, attempts, first_failed_at, last_failed_at, fingerprint
    FROM backbone.failed_message, generate_series(1, 20000) AS number WHERE position = :position
    """
)

WORDED = text(
    """
    INSERT INTO backbone.failed_message (subscription, id, state, type, version, key, sequence, exchange, routing_key,
        properties, body, error, reason, attempts, first_failed_at, last_failed_at, fingerprint)
    SELECT 'sell', gen_random_uuid(), 'dead', 'shop.sold', 1, 'key-' || number, 1, '', '', '{}', '', 'Refused',
        CASE WHEN number % 1000 = 0 THEN 'seldom' WHEN number < 10000 THEN 'near' ELSE 'far' END
            || ' (id=' || translate(gen_random_uuid()::text, '12', '34') || CASE WHEN number % 400 = 0 THEN '-2028' ELSE '' END
            || CASE WHEN number > 16000 THEN ', on=2027-11-28)' ELSE ')' END,
        1, now(), now(), 'Refused in desk'
    FROM generate_series(1, 20000) AS number
    """
)
