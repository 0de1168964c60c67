"""Searching failed messages for words: the same as if each were looked at, whichever way they are found."""

from __future__ import annotations

import asyncio
import random
import re
from collections import Counter
from datetime import timedelta
from itertools import product
from typing import Any

import pytest
from alembic import command
from sqlalchemy import MetaData, insert, text
from sqlalchemy.ext.asyncio import AsyncSession

from broker import _words
from broker._clock import clock
from broker._context import uuid7
from broker._database import migrate
from broker._dead_letters import Filter, count, find, groups
from broker._keeping import Housekeeping
from broker._migrations import _config
from broker._tables import BACKBONE_MIGRATIONS, failed_message, wording_count
from tests.broker.failing import SETTINGS, Desk

CAUSES = ("price_of", "account_of", "month_of", "icd10_of")
SENTENCES = (
    "the price list is empty",
    "the account is closed (invoice_id={id}, on={day})",
    "the ledger of that MONTH is missing",
    "{id} has not arrived yet, says Étienne's account of 12e5ab",
    "x{day}x: closed at {day}",
)
TEXTS = (
    "clos ACCOUNT", "ledger", "ledger closed", "price ledger", "2026", "2026 account", "a", "27", "account 14", "icd10", "x2",
    "12e5a", "étienne", "of month_of", "7q7", "nothing", "=1", "", "!&|'",
)  # fmt: skip
CHANGES = (
    "UPDATE backbone.failed_message SET reason = 'the ledger is closed (until=2026-12-01)' WHERE position % 9 = 0",
    "UPDATE backbone.failed_message SET reason = replace(reason, '2026', '2027'), attempts = 2 WHERE position % 7 = 0",
    "UPDATE backbone.failed_message SET state = 'waiting' WHERE position % 5 = 0",
    "UPDATE backbone.failed_message SET state = 'dead', fingerprint = 'KeyError in desk.account_of' WHERE position % 11 = 0",
    "DELETE FROM backbone.failed_message WHERE position % 4 = 0",
)
"""What becomes of failed messages: other reasons, other values in them, other states, other places in the code, an end."""

SINCE_THEN = (
    "UPDATE backbone.failed_message SET reason = 'the ledger is closed (until=2026-12-01)' WHERE position BETWEEN 100 AND 140",
    "DELETE FROM backbone.failed_message WHERE position BETWEEN 250 AND 330",
)
"""What becomes of them in some spans after all were summed up: in one nothing is left."""

WAYS = {"near": (500, 500), "by wordings": (0, 500), "each by its words": (0, 0), "all of them": (40, 500)}
"""For each way to find a page: how many messages are looked at first, and how many wordings are few."""


def made(number: int, chance: random.Random) -> dict[str, Any]:
    """A failed message: the first cause in the first half, the others anywhere, and some rare words, one of a value."""
    cause = CAUSES[0] if number < 200 and chance.random() < 0.9 else chance.choice(CAUSES[1:])
    sentence = SENTENCES[2] if number % 50 == 0 else chance.choice((SENTENCES[0], *SENTENCES[1::2], SENTENCES[4]))
    said = sentence.format(id=uuid7(), day=f"2026-11-{chance.randint(1, 28)}") + " ref=7q7q" * (number == 321)
    at = clock.now() + timedelta(seconds=chance.randint(0, 100))
    return {
        "subscription": chance.choice(("one", "two")),
        "id": uuid7(),
        "state": chance.choice(("dead", "dead", "held", "retrying")),
        "type": chance.choice(("shop.sold", "shop.closed")),
        "version": 1,
        "key": f"key-{number % 7}",
        "sequence": number,
        "exchange": "",
        "routing_key": "",
        "properties": {},
        "body": b"",
        "error": "Refused",
        "reason": said,
        "attempts": 1,
        "first_failed_at": at,
        "last_failed_at": at,
        "fingerprint": f"Refused in desk.rules.{cause}",
    }


async def has_words(session: AsyncSession, wanted: Filter) -> list[Any]:
    """What is wanted, each message looked at: its words begin like those that are asked for."""
    asked = re.findall(r"[^\W_]+", (wanted.text or "").lower())
    rows = await session.execute(failed_message.select().where(wanted.but_words.condition).order_by(failed_message.c.position))
    said = [(row, re.findall(r"[^\W_]+", f"{row.fingerprint} {row.reason}".lower())) for row in rows]
    return [row for row, words in said if asked and all(any(word.startswith(one) for word in words) for one in asked)]


@pytest.mark.parametrize("way", WAYS)
async def test_what_is_found_is_what_says_the_words(desk: Desk, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    """Page after page, from any place, with other filters: as if each message were looked at."""
    chance = random.Random(7)
    for name, value in zip(("NEAR", "MOST"), WAYS[way], strict=True):
        monkeypatch.setattr(_words, name, value)
    async with desk.database.transaction() as session:
        await session.execute(insert(failed_message), [made(number, chance) for number in range(400)])
    await Housekeeping(desk.database, "desk", SETTINGS, lambda: None).run_once()
    async with desk.database.transaction() as session:
        for change in SINCE_THEN:
            await session.execute(text(change))
        for wanted in wishes():
            expected = [row.position for row in await has_words(session, wanted)]
            assert await walked(session, wanted) == expected, wanted
            assert [each.position for each in await find(session, wanted)] == expected, wanted
            for after in chance.sample(range(400), 3):
                page = [each.position for each in await find(session, wanted, limit=5, after=after)]
                assert page == [position for position in expected if position > after][:5], (wanted, after)


@pytest.mark.parametrize("most", [500, 0])
async def test_what_says_the_words_is_counted_and_grouped(desk: Desk, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    """As if each message were looked at, whatever became of them, and whether or not the differences are added up."""
    chance = random.Random(7)
    monkeypatch.setattr(_words, "MOST", most)
    async with desk.database.transaction() as session:
        await session.execute(insert(failed_message), [made(number, chance) for number in range(400)])
    keeping = Housekeeping(desk.database, "desk", SETTINGS, lambda: None)
    await keeping.run_once()
    for change in CHANGES:
        async with desk.database.transaction() as session:
            await session.execute(text(change))
    for _ in range(2):
        await assert_counted(desk, wishes())
        await keeping.run_once()
    assert await desk.count(wording_count) == len({(row.subscription, row.state, row.wording) for row in await desk.rows()})


async def test_what_changes_at_the_same_time_is_counted(desk: Desk) -> None:
    """Messages of the same wordings come and go side by side, and differences are added up meanwhile: nobody waits."""
    chance = random.Random(7)
    keeping = Housekeeping(desk.database, "desk", SETTINGS, lambda: None)
    for _ in range(2):
        async with desk.database.transaction() as session:
            await session.execute(insert(failed_message), [made(0, chance) for _ in range(6)])
    async with asyncio.timeout(20), desk.database.transaction() as one, desk.database.transaction() as other:
        await one.execute(insert(failed_message), [made(0, chance) for _ in range(5)])
        await other.execute(insert(failed_message), [made(0, chance) for _ in range(3)])
        await one.execute(text("DELETE FROM backbone.failed_message WHERE position < 3"))
        await keeping.run_once()
    await assert_counted(desk, [Filter(text="ledger")])
    await keeping.run_once()
    await assert_counted(desk, [Filter(text="ledger")])


async def test_what_changes_while_words_are_summed_up_is_found(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two sum up at the same time, in the middle of two writers: it is looked for where they wrote, until that is summed up."""
    monkeypatch.setattr(_words, "NEAR", 0)
    keepers = [Housekeeping(desk.database, name, SETTINGS, lambda: None) for name in ("one", "other")]
    chance = random.Random(7)
    async with desk.database.transaction() as session:
        await session.execute(insert(failed_message), [made(number, chance) for number in range(150)])
    async with desk.database.transaction() as coming, desk.database.transaction() as changing:
        await coming.execute(insert(failed_message), [made(number, chance) for number in range(150)])
        await changing.execute(text(CHANGES[1]))
        await asyncio.gather(*(keeper.run_once() for keeper in keepers))
        await assert_found(desk)
        assert await summaries(desk) == await sums(desk)
    await assert_found(desk)
    assert {span for span, words in await summaries(desk) if words is None} == {span for span, _ in await sums(desk)}
    await asyncio.gather(*(keeper.run_once() for keeper in keepers))
    await assert_found(desk)
    async with desk.database.transaction() as session:
        await session.execute(text("UPDATE backbone.failed_message SET attempts = 2, state = 'waiting'"))
    assert await summaries(desk) == await sums(desk)
    async with desk.database.transaction() as session:
        await session.execute(text("DELETE FROM backbone.failed_message WHERE position BETWEEN 40 AND 130"))
    await keepers[0].run_once()
    assert await summaries(desk) == await sums(desk)


async def test_sentences_too_long_to_be_summed_up_are_found(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Imported ones, say, since ours are short: they are looked at one by one, and hold up nothing else."""
    monkeypatch.setattr(_words, "NEAR", 0)
    chance = random.Random(7)
    long = [f"{number}x".ljust(400, "9") for number in range(64 * 50)]
    rows = [made(number, chance) | {"reason": " ".join(long[number * 50 :][:50])} for number in range(64)]
    async with desk.database.transaction() as session:
        await session.execute(insert(failed_message), [*rows, *(made(number, chance) for number in range(64))])
    await Housekeeping(desk.database, "desk", SETTINGS, lambda: None).run_once()
    assert [words is None for _, words in await summaries(desk)] == [True, False, False]
    await assert_found(desk, "2026", "3100", "ledger")


async def test_what_is_there_before_is_counted_and_found(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Migrations count and note what there is, also what is being written, and their way back counts groups on."""
    chance = random.Random(7)
    async with desk.database.engine.begin() as connection:
        await connection.execute(insert(failed_message), [made(number, chance) for number in range(100)])
        await connection.run_sync(lambda own: command.downgrade(_config(BACKBONE_MIGRATIONS, own), "backbone_0014"))
        await connection.execute(insert(failed_message), [made(number, chance) for number in range(100)])
        for change in CHANGES:
            await connection.execute(text(change))
    async with asyncio.TaskGroup() as tasks, desk.database.transaction() as session:
        await session.execute(insert(failed_message), [made(number, chance) for number in range(10)])
        tasks.create_task(migrate(desk.database.engine, MetaData(), None))
        await desk.blocked()
    await assert_counted(desk, wishes()[::5])
    monkeypatch.setattr(_words, "NEAR", 0)
    await assert_found(desk)
    async with desk.database.transaction() as session:
        counted = {kind_of(each): each.count for each in await groups(session, Filter())}
    assert counted == Counter(kind_of(row) for row in await desk.rows())


async def assert_counted(desk: Desk, wanted: list[Filter]) -> None:
    """Count and groups of each are as if each message were looked at."""
    async with desk.database.transaction() as session:
        for each in wanted:
            there = await has_words(session, each)
            assert await count(session, each) == len(there), each
            kinds = Counter(kind_of(row) for row in there)
            grouped = await groups(session, each)
            assert {kind_of(group): group.count for group in grouped} == kinds, each
            for group in grouped:
                own = [row for row in there if kind_of(row) == kind_of(group)]
                assert group.oldest == own[0].first_failed_at, each
                assert group.newest == max(row.last_failed_at for row in own), each


async def assert_found(desk: Desk, *texts: str) -> None:
    """Pages of each text are as if each message were looked at."""
    async with desk.database.transaction() as session:
        for wanted in [Filter(text=said) for said in texts or TEXTS]:
            assert await walked(session, wanted) == [row.position for row in await has_words(session, wanted)], wanted


async def summaries(desk: Desk) -> list[tuple[int, set[str] | None]]:
    """What is kept of the words of each span: `None` where something has changed."""
    kept = text("SELECT span, tsvector_to_array(words) FROM backbone.word_summary ORDER BY span")
    async with desk.database.transaction() as session:
        return [(span, words if words is None else set(words)) for span, words in await session.execute(kept)]


async def sums(desk: Desk) -> list[tuple[int, set[str] | None]]:
    """The words of each span: of 64 positions."""
    words = "SELECT position / 64 AS span, unnest(tsvector_to_array(words)) AS word FROM backbone.failed_message"
    summed = text(f"SELECT span, array_agg(DISTINCT word) FROM ({words}) AS each GROUP BY span ORDER BY span")
    async with desk.database.transaction() as session:
        return [(span, set(words)) for span, words in await session.execute(summed)]


def wishes() -> list[Filter]:
    """Each of the texts, alone and with other filters."""
    since = clock.now() + timedelta(seconds=50)
    others: list[dict[str, Any]] = [
        {}, {"states": ("dead", "held"), "subscription": "one"}, {"type": "shop.closed", "since": since},
        {"states": ("dead",), "until": since, "fingerprint": "Refused in desk.rules.account_of"},
    ]  # fmt: skip
    return [Filter(text=said, **other) for said, other in product(TEXTS, others)]


async def walked(session: AsyncSession, wanted: Filter) -> list[int]:
    """The positions of all pages, one after the other."""
    positions: list[int] = []
    while page := await find(session, wanted, limit=30, after=positions[-1] if positions else 0):
        positions += [each.position for each in page]
    return positions


def kind_of(each: Any) -> tuple[str, str, str]:
    return each.subscription, each.state, each.fingerprint
