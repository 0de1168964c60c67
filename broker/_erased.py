"""Who was erased, as this service's database knows it: whatever is handled, published or kept of them is masked before.

An erasure excludes whoever writes bodies down, and is excluded by them, with one lock of the database: they take it shared and
then look, it takes it alone, notes the person and masks what is there. So nothing slips through between looking and writing.
It is taken before other locks are: should that ever not be so, and be a deadlock, PostgreSQL breaks it and the work is done
again.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from broker._persons import Bodies, Persons, is_erasable
from contracts.event import Event

# The function takes the lock, and only then looks: a statement would look as of its beginning, before it waited.
AMONG = text("SELECT backbone.erased_among(CAST(:persons AS uuid[]))")
PATIENCE = text("SET LOCAL lock_timeout = '2s'")
"""An erasure that waits longer for somebody is tried again later: whoever comes after it waits behind it."""

ALONE = text("SELECT pg_advisory_xact_lock(backbone.erasure_lock())")


async def shut_out_erasures(session: AsyncSession) -> None:
    """Until the transaction ends, nobody is erased: what it has read stays true."""
    await session.execute(AMONG, {"persons": []})


async def erased_among(session: AsyncSession, persons: Collection[UUID]) -> Persons:
    """Those of these persons who were erased; until the transaction ends it is no more of them. Of nobody, nothing is asked."""
    return await session.run_sync(_erased_among, persons)


async def fit_to_keep(
    session: AsyncSession, bodies: Bodies, type_: str, version: int, body: bytes
) -> tuple[bytes, list[UUID] | None]:
    """The body as it may be kept, and the persons under whom it is found again; None where it has no personal data."""
    persons = bodies.persons(type_, version, body)
    if persons and bodies.is_erasable(type_):
        erased = await erased_among(session, persons)
        body = bodies.without(type_, version, body, erased) if erased else body
    return body, sorted(persons) or None


def fit_to_publish(session: Session, events: Sequence[Event], written: Sequence[bytes]) -> list[bytes]:
    """The bodies of these events as they may be published."""
    may_be = [place for place, event in enumerate(events) if is_erasable([type(event)])]
    if not may_be:
        return list(written)
    contents = Bodies({type(events[place]) for place in may_be})
    whose = {place: contents.persons_of(events[place], written[place]) for place in may_be}
    erased = _erased_among(session, frozenset().union(*whose.values()))
    fit = list(written)
    for place, persons in whose.items():
        if persons & erased:
            fit[place] = contents.without(*_named(events[place]), written[place], erased)
    return fit


def _erased_among(session: Session, persons: Collection[UUID]) -> Persons:
    if not persons:
        return frozenset()
    return frozenset(session.scalars(AMONG, {"persons": list(persons)}).all())


def _named(event: Event) -> tuple[str, int]:
    return event.contract.name, event.contract.version
