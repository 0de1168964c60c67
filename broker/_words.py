"""Searching failed messages for words, in a time that depends neither on how many there are nor on how many are found.

Most sentences are those of the code with values in them, so that many messages are of few wordings. Words are looked for in
one message of each wording; pages are read along the index of wordings, and how many there are of each is counted as they
change. What is found by a word of a value (among the words of a message `=` stands before it) is looked for span by span: the
words of all messages of a span are summed up, and where they say what is searched for, its messages are looked at in order.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
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
    not_,
    select,
    text,
    true,
    tuple_,
    union_all,
)
from sqlalchemy.dialects.postgresql import TSQUERY, aggregate_order_by
from sqlalchemy.ext.asyncio import AsyncSession

from broker._tables import failed_message, word_summary, wording_count

MOST = 500
"""Wordings, at most, of messages that are found by their wordings. Code has fewer: beyond it each span is looked up."""

NEAR = 500
"""Messages that are looked at before anything is looked up: a page of what many say is among them, and all of a few."""

SPAN = 64
"""Positions of failed messages whose words are summed up together."""

AT_ONCE = 100
"""Spans that are summed up in one transaction, some 1.3 ms each: who relays messages waits for the oldest that writes."""

LONGEST = 500
"""Characters of a word that count: so many are kept."""

GROUP = ("subscription", "state", "fingerprint")
"""What failed for one reason."""

WORDINGS = """
    WITH RECURSIVE found AS (
        (SELECT subscription, state, wording, position, fingerprint, words FROM backbone.failed_message
         ORDER BY subscription, state, wording, position LIMIT 1)
        UNION ALL
        SELECT next.* FROM found, LATERAL (
            SELECT subscription, state, wording, position, fingerprint, words FROM backbone.failed_message
            WHERE (subscription, state, wording) > (found.subscription, found.state, found.wording)
            ORDER BY subscription, state, wording, position LIMIT 1
        ) AS next
    )
    SELECT * FROM found
"""
"""The first message of each wording, in each subscription and state."""

CHANGED = select(word_summary.c.span).where(word_summary.c.words.is_(None)).distinct().order_by(word_summary.c.span)
"""The spans in which something has changed since they were summed up."""

SUM_UP = """
    WITH gone AS (
        DELETE FROM backbone.word_summary WHERE span = ANY(:spans) RETURNING span
    )
    INSERT INTO backbone.word_summary
    SELECT changed.span, said.words FROM (SELECT DISTINCT span FROM gone) AS changed, LATERAL (
        SELECT CASE WHEN sum(octet_length(word)) < :most THEN array_to_tsvector(array_agg(word)) END AS words
        FROM (
            SELECT DISTINCT unnest(tsvector_to_array(words)) AS word FROM backbone.failed_message
            WHERE position >= changed.span * :span AND position < (changed.span + 1) * :span
        ) AS each
        HAVING count(*) > 0
    ) AS said
"""
"""What changes meanwhile is noted in another row, which this statement does not see and leaves: see migration backbone_0016.
It gives the words of all messages that its rows were of, or leaves a span as changed if they are too long for a tsvector."""

LONGEST_SUMMARY = 2**20
"""Bytes, from which on PostgreSQL refuses a tsvector."""

EVERY = true()
"""No further condition."""

row = failed_message.c


class Words:
    """What is searched for: words, or their beginnings, of fingerprint and reason. All of them have to be there."""

    def __init__(self, said: str) -> None:
        self._asked = [word[:LONGEST] for word in re.findall(r"[^\W_]+", said)]

    def is_said(self, table: FromClause) -> ColumnElement[bool]:
        """Whether a message of a table that has the columns of `failed_message` says them, of whatever wordings they are."""
        if table is not failed_message:
            return _match(func.backbone.words_of(table.c.fingerprint, table.c.reason), self._anywhere)
        return among_found(self.each())

    def near(self, rest: ColumnElement[bool]) -> Select[Sequence[int] | None, bool]:
        """Positions of what says them among the first messages of which the rest is true, and whether there are no others."""
        said = _match(row.words, self._anywhere).label("said")
        first = select(row.position, said).where(rest).order_by(row.position).limit(NEAR).subquery("first").c
        in_order = func.array_agg(aggregate_order_by(first.position, first.position))
        return select(in_order.filter(first.said), func.count() < NEAR)

    def found(self, rest: ColumnElement[bool]) -> Subquery:
        """Position, group and last failure of what says them, if the rest is true. For messages of few wordings."""
        return union_all(self._by_wording(rest), self._by_value(rest)).subquery("found")

    def page(self, rest: ColumnElement[bool], after: int, limit: int | None) -> Select[Any]:
        """Positions after a position, if the rest is true, the first page among them. For messages of few wordings."""
        ways = (self._by_wording(rest, after, limit).subquery(), self._in_spans(self._valued, rest, after, limit).subquery())
        return select(union_all(*(select(way.c.position) for way in ways)).subquery("found").c.position)

    def each(self, rest: ColumnElement[bool] = EVERY, after: int = 0, limit: int | None = None) -> Select[Any]:
        """Positions of a page after a position, if the rest is true. For messages of any wordings."""
        return select(self._in_spans(self._anywhere, rest, after, limit).subquery("found").c.position)

    def counted(self, rest: Callable[[FromClause], ColumnElement[bool]]) -> Subquery:
        """What says them, counted: group, number, first and last position, last failure, of a group in any number of rows.

        rest: a condition on whole groups, for what has their columns. For messages of few wordings.
        """
        wording = _wordings().cte("worded")
        by_wording = select(*_group(wording), *_counted(wording)).where(_match(wording.c.words, self._worded), rest(wording))
        by_value = self._by_value(rest(failed_message)).subquery()
        return union_all(by_wording, one_by_one(by_value)).subquery("counted")

    def _by_wording(self, rest: ColumnElement[bool], after: int = 0, limit: int | None = None) -> Select[Any]:
        """What says them whatever the values are, after a position, as `found` does; so many of each wording at most."""
        wording = _wordings().cte("worded")
        same = (row.subscription == wording.c.subscription, row.state == wording.c.state, row.wording <= wording.c.wording)
        later = tuple_(row.wording, row.position) > tuple_(wording.c.wording, after)
        said = select(row.position, row.last_failed_at).where(*same, later, rest)
        page = said.order_by(row.wording, row.position).limit(limit).lateral("page")
        found = select(page.c.position, *_group(wording), page.c.last_failed_at).join_from(wording, page, true())
        return found.where(_match(wording.c.words, self._worded))

    def _by_value(self, rest: ColumnElement[bool]) -> Select[Any]:
        """What says them only by its values, if the rest is true, as `found` does."""
        return self._in_spans(self._valued, and_(rest, not_(_match(row.words, self._worded))))

    def _in_spans(self, said: str, rest: ColumnElement[bool], after: int = 0, limit: int | None = None) -> Select[Any]:
        """What says so, after a position, if the rest is true, as `found` does; with a limit the first."""
        first = literal(after // SPAN, BigInteger)
        saying = func.backbone.spans_saying(_query(said), first).table_valued("span").render_derived()
        spans = select(saying.c.span).order_by(saying.c.span).subquery("spans")
        begin = spans.c.span * SPAN
        within = row.position > after, row.position >= begin, row.position < begin + SPAN
        page = select(row.position, *_group(failed_message), row.last_failed_at).where(*within, _match(row.words, said), rest)
        of_span = page.order_by(row.position).limit(limit).lateral("of_span")
        found = select(of_span).join_from(spans, of_span, true())
        return found if limit is None else found.order_by(spans.c.span, of_span.c.position).limit(limit)

    @property
    def _anywhere(self) -> str:
        return " & ".join(f"('{word}':* | '={word}':*)" for word in self._asked)

    @property
    def _worded(self) -> str:
        """Whatever the values are: then all messages of the wording say them."""
        return " & ".join(f"'{word}':*" for word in self._asked)

    @property
    def _valued(self) -> str:
        """One of them, at least, by a value."""
        values = " | ".join(f"'={word}':*" for word in self._asked)
        return f"{self._anywhere} & ({values})" if values else ""


def one_by_one(found: FromClause) -> Select[Any]:
    """Messages that were found, each counted for itself: group, number, first and last position, last failure."""
    number, place, at = literal(1, Integer), found.c.position, found.c.last_failed_at
    return select(*_group(found), number.label("count"), place.label("first"), place.label("last"), at.label("latest"))


async def are_few_wordings(session: AsyncSession) -> bool:
    """Whether failed messages are of few wordings."""
    some = _wordings().cte("worded")
    return int(await session.scalar(select(func.count()).select_from(select(some).limit(MOST + 1).subquery())) or 0) <= MOST


async def sum_up(session: AsyncSession, spans: Sequence[int]) -> None:
    """Sums up the words of these spans as they are now."""
    await session.execute(text(SUM_UP), {"spans": spans, "span": SPAN, "most": LONGEST_SUMMARY})


def among_found(positions: Select[Any]) -> ColumnElement[bool]:
    """Whether it is one of these, which are looked up before anything else: how near they are, a planner does not know."""
    return row.position == any_(func.array(positions.correlate(None).scalar_subquery()))


def _group(found: FromClause) -> list[ColumnElement[Any]]:
    return [found.c[name] for name in GROUP]


def _counted(wording: FromClause) -> list[ColumnElement[Any]]:
    """How many messages are of a wording, the first and last position of them, which are there, and their last failure."""
    counts, own = wording_count.c, (wording.c.subscription, wording.c.state)
    of_it = counts.subscription == own[0], counts.state == own[1], counts.wording == wording.c.wording
    number = select(cast(func.sum(counts.by), BigInteger)).where(*of_it)
    upto = row.subscription == own[0], row.state == own[1], row.wording <= wording.c.wording
    last, latest = (
        select(end).where(*upto).order_by(row.wording.desc(), end.desc()).limit(1) for end in (row.position, row.last_failed_at)
    )
    return [
        number.scalar_subquery().label("count"),
        wording.c.position.label("first"),
        last.scalar_subquery().label("last"),
        latest.scalar_subquery().label("latest"),
    ]


def _wordings() -> TextualSelect:
    return text(WORDINGS).columns(row.subscription, row.state, row.wording, row.position, row.fingerprint, row.words)


def _match(words: ColumnElement[Any], said: str) -> ColumnElement[bool]:
    return words.op("@@", is_comparison=True)(_query(said)) if said else false()


def _query(said: str) -> ColumnElement[Any]:
    return cast(func.lower(said), TSQUERY)
