"""What a person changes about one failed message: let go, taken back, corrected, given to another subscription."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Table, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from broker._actions import Action, Asker, Result, begin, note
from broker._clock import clock
from broker._dead_letters import Filter
from broker._erased import shut_out_erasures
from broker._failures import close, lock_keys, release
from broker._masking import unmasked
from broker._replay import Retrier
from broker._tables import correction, discarded_message, failed_message, inbox
from broker._unread import unread
from broker.errors import RuleBroken
from contracts.event import Event

OWN = frozenset({"state", "due_at", "waits_for", "waits_key", "words", "wording"})
"""What a failed message has that is not kept of one that was let go and comes back."""

KEPT = ", ".join(column.name for column in failed_message.c if column.name not in OWN)
RESTORE = text(
    f"""
    INSERT INTO backbone.failed_message (state, {KEPT}) OVERRIDING SYSTEM VALUE
    SELECT 'dead', {KEPT} FROM backbone.discarded_message WHERE position = :position
    """  # noqa: S608 (put together from constants)
)


class NothingToCorrect(RuleBroken):
    """There is no such failed message any more: it went through, or was let go."""


class CorrectionIsNotJson(RuleBroken):
    """A corrected body is a JSON object."""


class NobodyReadsThatField(RuleBroken):
    """A corrected body has no field that neither its contract has nor the body had before."""


class NobodyCanReadIt(RuleBroken):
    """A message is corrected where its subscription is part of the code, and knows its type."""


class NobodyThereReadsIt(NobodyCanReadIt):
    """No subscription of that name in this service takes messages of this type."""


class AlreadyThere(RuleBroken):
    """The other subscription has this message already: it took effect there, or failed there too."""


async def discard(session: AsyncSession, position: int, action_id: UUID) -> Result:
    """Lets a message go without effect: it counts as handled, and what lies behind it goes on. It can be restored."""
    row = await _locked(session, failed_message, position)
    if row is None:
        return "gone"
    kept = {name: value for name, value in row._asdict().items() if name in discarded_message.c}
    kept |= {"action": action_id, "discarded_at": clock.now()}
    await session.execute(insert(discarded_message).values(kept))
    await close(session, row.subscription, [row])
    return "discarded"


async def restore(session: AsyncSession, position: int, action_id: UUID) -> Result:
    """Makes a message that was let go a dead letter again, in its old place: what is open of its key goes after it."""
    row = await _locked(session, discarded_message, position)
    if row is None:
        return "gone"
    await session.execute(inbox.delete().where(inbox.c.id == row.id, inbox.c.subscription == row.subscription))
    await session.execute(RESTORE, {"position": position})
    await session.execute(discarded_message.delete().where(discarded_message.c.position == position))
    return "restored"


async def discarded_by(session: AsyncSession, wanted: Filter, action_id: UUID) -> Filter:
    """What an action discarded, beside what else is wanted of discarded messages."""
    row = discarded_message.c
    chosen = (await session.scalars(select(row.position).where(row.action == action_id))).all()
    return replace(wanted, positions=(*wanted.positions, *chosen) if chosen else (0,))


async def edit(session: AsyncSession, retrier: Retrier, position: int, change: Callable[[Any], Any], asker: Asker) -> Action:
    """Replaces a message's body by what `change` makes of its JSON data; the original is kept.

    Where the new body says MASK, the old value stays. Raises NothingToCorrect, CorrectionIsNotJson, MaskCannotBeSaved,
    NobodyCanReadIt, and what names fields: Permanent or Newer for a body that breaks the contract, NobodyReadsThatField.
    """
    row = await _locked(session, failed_message, position)
    if row is None:
        raise NothingToCorrect
    try:
        original = json.loads(row.body)
    except ValueError:
        original = None
    edited = unmasked(change(original), original)
    if not isinstance(edited, Mapping):
        raise CorrectionIsNotJson
    body = json.dumps(edited, separators=(",", ":"), ensure_ascii=False).encode()
    event = _check(retrier, row, body)
    # What a body of an older version may have, only its upcasters know.
    if row.version == event.contract.version and (fields := unread(edited, original, event)):
        raise NobodyReadsThatField(fields=", ".join(fields))
    body, persons = await retrier.failures.fit_to_keep(session, row.type, row.version, body)
    action = await begin(session, "edit", Filter(positions=(position,)), asker, state="done")
    changed = {"position": position, "action": action.id, "before": row.body, "after": body}
    await session.execute(insert(correction).values(changed))
    kept = {"body": body, "persons": persons}
    await session.execute(update(failed_message).where(failed_message.c.position == position).values(kept))
    await note(session, action.id, {position: ("edited", None)})
    return action


async def redirect(session: AsyncSession, retrier: Retrier, position: int, to: str, asker: Asker) -> Action:
    """Gives a message to another subscription of the service, after a rename that did not name its former name.

    Raises NothingToCorrect, NobodyThereReadsIt, which names those that do, and AlreadyThere.
    """
    row = await _locked(session, failed_message, position)
    if row is None:
        raise NothingToCorrect
    subscription = retrier.subscriptions.get(to)
    if subscription is None or subscription.contract(row.type) is None:
        readers = [each.name for each in retrier.service.subscriptions if each.contract(row.type) is not None]
        raise NobodyThereReadsIt(to=to, type=row.type, possible=", ".join(readers) or "none")
    await lock_keys(session, to, [row.key])
    if row.id is not None and await retrier.failures.known(session, subscription, [row.id]):
        raise AlreadyThere
    action = await begin(session, "redirect", Filter(positions=(position,)), asker, state="done")
    await note(session, action.id, {position: ("redirected", f"from {row.subscription} to {to}")})
    await session.execute(update(failed_message).where(failed_message.c.position == position).values(subscription=to))
    await release(session, row.subscription, [row.key])
    return action


async def reveal(session: AsyncSession, wanted: Filter, asker: Asker) -> Action:
    """Writes down that somebody looked at the personal data of messages."""
    action = await begin(session, "reveal", wanted, asker, state="done")
    chosen = await session.scalars(select(failed_message.c.position).where(wanted.condition))
    await note(session, action.id, dict.fromkeys(chosen, ("shown", None)))
    return action


def _check(retrier: Retrier, row: Row[Any], body: bytes) -> type[Event]:
    """The contract that the body keeps."""
    subscription = retrier.subscriptions.get(row.subscription)
    if subscription is None or subscription.contract(row.type) is None or row.id is None:
        raise NobodyCanReadIt
    return type(retrier.invocations[subscription.name].decode(retrier.envelope_of(row, subscription, body)))


async def _locked(session: AsyncSession, table: Table, position: int) -> Row[Any] | None:
    """The row under the lock of its key; None when it is gone. Nobody is erased meanwhile: its body may be copied."""
    await shut_out_erasures(session)
    here = select(table).where(table.c.position == position)
    seen = (await session.execute(here)).one_or_none()
    if seen is None:
        return None
    await lock_keys(session, seen.subscription, [seen.key])
    row = (await session.execute(here)).one_or_none()
    if row is None:
        await release(session, seen.subscription, [seen.key])
    return row
