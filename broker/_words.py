"""Searching failed messages for words, in a time that depends neither on how many there are nor on how many are found.

Most sentences are those of the code with values in them, so that many messages are of few wordings. Words are looked for in
one message of each wording; pages are read along the index of wordings, and how many there are of each is counted as they
change. Only what is found by a word of a value (in the index of words `=` stands before it) is looked up message by message.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    FromClause,
    Integer,
    Select,
    Subquery,
    TextualSelect,
    and_,
    any_,
    cast,
    false,
    func,
    literal,
    or_,
    select,
    text,
    true,
    tuple_,
    union_all,
)
from sqlalchemy.dialects.postgresql import TSQUERY
from sqlalchemy.ext.asyncio import AsyncSession

from broker._tables import failed_message, wording_count

MOST = 500
"""Wordings, at most, of messages that are found by their wordings. Code has fewer: beyond it each message is looked up."""

NEAR = 500
"""Messages that are looked at before anything is looked up: a page of what many say is among them."""

LONGEST = 500
"""Characters of a word that count: those that the index has."""

GROUP = ("subscription", "state", "fingerprint")
"""What failed for one reason."""

WORDINGS = """
    WITH RECURSIVE found AS (
        (SELECT subscription, state, wording, fingerprint, words FROM backbone.failed_message
         ORDER BY subscription, state, wording LIMIT 1)
        UNION ALL
        SELECT next.* FROM found, LATERAL (
            SELECT subscription, state, wording, fingerprint, words FROM backbone.failed_message
            WHERE (subscription, state, wording) > (found.subscription, found.state, found.wording)
            ORDER BY subscription, state, wording LIMIT 1
        ) AS next
    )
    SELECT * FROM found
"""
"""One message of each wording, in each subscription and state."""

row = failed_message.c


class Words:
    """What is searched for: words, or their beginnings, of fingerprint and reason. All of them have to be there."""

    def __init__(self, said: str) -> None:
        self._asked = [word[:LONGEST] for word in re.findall(r"[^\W_]+", said)]

    def is_said(self, table: FromClause) -> ColumnElement[bool]:
        """Whether a message of a table that has the columns of `failed_message` says them. Each is looked up by its words."""
        if table is not failed_message:
            return self._are_in(func.backbone.words_of(table.c.fingerprint, table.c.reason))
        return among_found(select(row.position).where(self._are_in(row.words)))

    def near(self, rest: ColumnElement[bool], limit: int) -> Select[Any]:
        """Positions of a page of what says them, as far as they are among the first messages of which the rest is true."""
        first = select(row.position, row.words).where(rest).order_by(row.position).limit(NEAR).subquery("first")
        return select(first.c.position).where(self._are_in(first.c.words)).order_by(first.c.position).limit(limit)

    def found(self, rest: ColumnElement[bool]) -> Subquery:
        """Position and group of what says them, if the rest is true. For messages of few wordings."""
        return union_all(self._by_wording(rest), self._by_value(rest)).subquery("found")

    def page(self, rest: ColumnElement[bool], after: int, limit: int | None) -> Select[Any]:
        """Positions after a position, if the rest is true, the first page among them. For messages of few wordings."""
        by_wording = self._by_wording(rest, after, limit).subquery()
        is_one_word = len(self._asked) == 1
        said = _has_value(row.words, self._asked[0]) if is_one_word else and_(self._is_any_value(), self._are_in(row.words))
        # OFFSET 0: found by the words, and then sorted. A planner does not know how far it would walk along the positions.
        each = select(row.position).where(said, row.position > after, rest).offset(0).subquery()
        by_value = select(each.c.position).order_by(each.c.position).limit(limit).subquery()
        return select(union_all(select(by_wording.c.position), select(by_value.c.position)).subquery("found").c.position)

    def counted(self, rest: Callable[[FromClause], ColumnElement[bool]]) -> Subquery:
        """What says them, counted: group, number, first and last position, of a group in any number of rows.

        rest: a condition on whole groups, for what has their columns. For messages of few wordings.
        """
        wording = _wordings().cte("worded")
        by_wording = select(*_group(wording), *_counted(wording)).where(self._are_worded_in(wording.c.words), rest(wording))
        by_value = self._by_value(rest(failed_message)).subquery()
        return union_all(by_wording, one_by_one(by_value)).subquery("counted")

    def _by_wording(self, rest: ColumnElement[bool], after: int = 0, limit: int | None = None) -> Select[Any]:
        """Position and group of what says them whatever the values are, after a position; so many of each wording at most."""
        wording = _wordings().cte("worded")
        same = (row.subscription == wording.c.subscription, row.state == wording.c.state, row.wording <= wording.c.wording)
        later = tuple_(row.wording, row.position) > tuple_(wording.c.wording, after)
        page = select(row.position).where(*same, later, rest).order_by(row.wording, row.position).limit(limit).lateral("page")
        found = select(page.c.position, *_group(wording)).join_from(wording, page, true())
        return found.where(self._are_worded_in(wording.c.words))

    def _by_value(self, rest: ColumnElement[bool]) -> Select[Any]:
        """Position and group of what says them only by its values, if the rest is true."""
        found = select(row.position, *_group(failed_message)).where(self._is_any_value(), rest)
        return found.where(self._are_only_by_value_in(row.words))

    def _is_any_value(self) -> ColumnElement[bool]:
        """Whether any of them is said by a value: if not, the index of words needs not be asked for what all say."""
        # MATERIALIZED: looked up as if all were wanted, and no further than the first. There may be none to walk to.
        valued = [select(row.position).where(_has_value(row.words, word)) for word in self._asked]
        return or_(False, *(select(each.cte().prefix_with("MATERIALIZED")).exists() for each in valued))

    def _are_in(self, words: ColumnElement[Any]) -> ColumnElement[bool]:
        return _match(words, self._anywhere)

    def _are_worded_in(self, words: ColumnElement[Any]) -> ColumnElement[bool]:
        """Whether they are there whatever the values are: then all messages of the wording say them."""
        return _match(words, self._worded)

    def _are_only_by_value_in(self, words: ColumnElement[Any]) -> ColumnElement[bool]:
        """One question to the index of words, which answers it without looking at messages."""
        return _match(words, f"{self._anywhere} & !({self._worded})" if self._asked else "")

    @property
    def _anywhere(self) -> str:
        return " & ".join(f"('{word}':* | '={word}':*)" for word in self._asked)

    @property
    def _worded(self) -> str:
        return " & ".join(f"'{word}':*" for word in self._asked)


def one_by_one(found: FromClause) -> Select[Any]:
    """Messages that were found, each counted for itself: group, number, first and last position."""
    place = found.c.position
    return select(*_group(found), literal(1, Integer).label("count"), place.label("first"), place.label("last"))


async def are_few_wordings(session: AsyncSession) -> bool:
    """Whether failed messages are of few wordings."""
    some = _wordings().cte("worded")
    return int(await session.scalar(select(func.count()).select_from(select(some).limit(MOST + 1).subquery())) or 0) <= MOST


def among_found(positions: Select[Any]) -> ColumnElement[bool]:
    """Whether it is one of these, which are looked up before anything else: how near they are, a planner does not know."""
    return row.position == any_(func.array(positions.correlate(None).scalar_subquery()))


def _group(found: FromClause) -> list[ColumnElement[Any]]:
    return [found.c[name] for name in GROUP]


def _counted(wording: FromClause) -> list[ColumnElement[int]]:
    """How many messages are of a wording, and the first and last position of them, which are there."""
    counts, own = wording_count.c, (wording.c.subscription, wording.c.state)
    of_it = counts.subscription == own[0], counts.state == own[1], counts.wording == wording.c.wording
    number = select(cast(func.sum(counts.by), BigInteger)).where(*of_it)
    place = select(row.position).where(row.subscription == own[0], row.state == own[1]).limit(1)
    first = place.where(row.wording >= wording.c.wording).order_by(row.wording, row.position)
    last = place.where(row.wording <= wording.c.wording).order_by(row.wording.desc(), row.position.desc())
    found = {"count": number, "first": first, "last": last}
    return [each.scalar_subquery().label(name) for name, each in found.items()]


def _wordings() -> TextualSelect:
    return text(WORDINGS).columns(row.subscription, row.state, row.wording, row.fingerprint, row.words)


def _has_value(words: ColumnElement[Any], word: str) -> ColumnElement[bool]:
    return _match(words, f"'={word}':*")


def _match(words: ColumnElement[Any], query: str) -> ColumnElement[bool]:
    return words.op("@@", is_comparison=True)(cast(func.lower(query), TSQUERY)) if query else false()
