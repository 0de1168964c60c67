"""Searching failed messages for words: the same as if each were looked at, whichever way they are found."""

from __future__ import annotations

import random
import re
from collections import Counter
from datetime import timedelta
from itertools import product
from typing import Any

import pytest
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncSession

from broker import _words
from broker._clock import clock
from broker._context import uuid7
from broker._dead_letters import Filter, count, find, groups
from broker._tables import failed_message
from tests.broker.failing import Desk

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
        for wanted in wishes():
            expected = [row.position for row in await has_words(session, wanted)]
            assert await walked(session, wanted) == expected, wanted
            assert [each.position for each in await find(session, wanted)] == expected, wanted
            for after in chance.sample(range(400), 3):
                page = [each.position for each in await find(session, wanted, limit=5, after=after)]
                assert page == [position for position in expected if position > after][:5], (wanted, after)


async def test_what_says_the_words_is_counted_and_grouped(desk: Desk) -> None:
    """As if each message were looked at."""
    chance = random.Random(7)
    async with desk.database.transaction() as session:
        await session.execute(insert(failed_message), [made(number, chance) for number in range(400)])
        for wanted in wishes():
            there = await has_words(session, wanted)
            assert await count(session, wanted) == len(there), wanted
            kinds = Counter((row.subscription, row.state, row.fingerprint) for row in there)
            grouped = await groups(session, wanted)
            assert {kind_of(each): each.count for each in grouped} == kinds, wanted
            for each in grouped:
                own = [row for row in there if (row.subscription, row.state, row.fingerprint) == kind_of(each)]
                assert (each.oldest, each.newest) == (own[0].first_failed_at, own[-1].last_failed_at), wanted


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
