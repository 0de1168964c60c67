"""Trying a kept message without any effect: the real handler, rolled back, stopped before any call to the outside."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from sqlalchemy import Row, text

from broker._database import CHECK, LentSession
from broker._dead_letters import read
from broker._failures import lock_keys
from broker._outside import DRY_RUN, StoppedBeforeCall
from broker._publishing import BUFFER
from broker._replay import Retrier, is_behind, is_in_inbox
from broker._replica_processor import replica_fed_by
from broker._subscriptions import Subscription
from broker._verdicts import Verdict, classify
from broker.errors import Newer, Permanent

TOUCHED = text(
    """
    SELECT relname, n_tup_ins, n_tup_upd, n_tup_del FROM pg_stat_xact_user_tables
    WHERE schemaname <> 'backbone' AND n_tup_ins + n_tup_upd + n_tup_del > 0
    """
)

Result = Literal[
    "takes effect",
    "took effect",
    "superseded",
    "fails the same way",
    "fails otherwise",
    "not valid",
    "behind",
    "gone",
    "foreign",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """How many rows of a table would be written."""

    inserted: int = 0
    updated: int = 0
    deleted: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What would happen to a message that was replayed now.

    takes effect: it would, publishing `published` and writing `rows`, up to the call to the outside named `stopped_before`.
    took effect: it had, before. superseded: a newer state is there already. fails the same way, or otherwise: see `verdict`;
    the fingerprint is what tells. not valid: today's contract or code does not read it. behind: an earlier message of its key
    must go first. gone: it is no failed message any more. foreign: this code has no such subscription.
    """

    result: Result
    published: Mapping[str, int] = field(default_factory=dict)
    rows: Mapping[str, Rows] = field(default_factory=dict)
    stopped_before: str | None = None
    verdict: Verdict | None = None

    @property
    def is_well(self) -> bool:
        """Whether a replay would end it."""
        return self.result in {"takes effect", "took effect", "superseded"}


async def attempt(retrier: Retrier, position: int) -> Trial:
    """Tries a message, and rolls it back. Raises only what tells that the database is out of reach."""
    async with retrier.database.lent() as session:
        session.info[DRY_RUN] = True
        row = await read(session, position)
        if row is None:
            return Trial(result="gone")
        subscription = retrier.subscriptions.get(row.subscription)
        if subscription is None:
            return Trial(result="foreign")
        try:
            return await _attempt(session, retrier, row, subscription)
        except Exception as failure:
            verdict = classify(failure, row.attempts + 1, subscription.handler)
            same = verdict.evidence.fingerprint == row.fingerprint
            return Trial(result="fails the same way" if same else "fails otherwise", verdict=verdict)


async def _attempt(session: LentSession, retrier: Retrier, row: Row[Any], subscription: Subscription) -> Trial:
    await lock_keys(session, subscription.name, [row.key])
    if subscription.on_failure == "hold" and await is_behind(session, row):
        return Trial(result="behind")
    invocation = retrier.invocations[subscription.name]
    try:
        envelope = retrier.envelope_of(row, subscription)
        event = invocation.decode(envelope)
    except (Permanent, Newer) as unreadable:
        return Trial(result="not valid", verdict=classify(unreadable, row.attempts + 1, subscription.handler))
    if await is_in_inbox(session, subscription.name, envelope):
        return Trial(result="took effect")
    before = await _counted(session)
    stopped_before = None
    try:
        await invocation.handle(session, envelope, event)
    except StoppedBeforeCall as stopped:
        stopped_before = stopped.call
    await session.flush()
    await session.execute(CHECK)
    buffered = session.sync_session.info.get(BUFFER, ())
    rows = _touched(before, await _counted(session))
    replica = replica_fed_by(retrier.service, subscription)
    if replica is not None and replica.__tablename__ not in rows:
        return Trial(result="superseded")
    published = Counter(each.event.contract.name for each in buffered)
    return Trial(result="takes effect", published=dict(published), rows=rows, stopped_before=stopped_before)


async def _counted(session: LentSession) -> dict[str, tuple[int, int, int]]:
    """Rows inserted, updated, deleted, by table, as PostgreSQL counts them: earlier transactions may still be among them."""
    return {name: (inserted, updated, deleted) for name, inserted, updated, deleted in await session.execute(TOUCHED)}


def _touched(before: Mapping[str, tuple[int, int, int]], after: Mapping[str, tuple[int, int, int]]) -> dict[str, Rows]:
    """What came between two counts."""
    rows = {}
    for name, counts in after.items():
        inserted, updated, deleted = (now - then for now, then in zip(counts, before.get(name, (0, 0, 0)), strict=True))
        if inserted or updated or deleted:
            rows[name] = Rows(inserted=inserted, updated=updated, deleted=deleted)
    return rows
