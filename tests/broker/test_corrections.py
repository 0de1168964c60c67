"""A person corrects a message: checked against its contract, the original kept, and who did it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select, update

from broker import Permanent
from broker._actions import past_of
from broker._corrections import (
    AlreadyThere,
    CorrectionIsNotJson,
    NobodyCanReadIt,
    NobodyReadsThatField,
    NothingToCorrect,
    edit,
    redirect,
    reveal,
)
from broker._dead_letters import Filter
from broker._masking import MASK, MaskCannotBeSaved
from broker._tables import action, correction, failed_message
from tests.broker.failing import ASKER, Desk


async def edited(desk: Desk, position: int, change: Callable[[Any], Any]) -> None:
    async with desk.database.transaction() as session:
        await edit(session, desk.retrier, position, change, ASKER)


async def test_a_corrected_message_takes_effect(desk: Desk) -> None:
    """The new body is what its handler gets; the old one, who changed it and why are kept."""
    position = await desk.fail("a", 1, Permanent("never"))
    await edited(desk, position, lambda body: {**body, "number": 7})
    assert (await desk.retry(position)).result == "done"
    assert await desk.effects("a") == [7]
    async with desk.database.transaction() as session:
        kept = (await session.execute(select(correction))).one()
        assert (kept.before, kept.after) == (b'{"item":"a","number":1}', b'{"item":"a","number":7}')
        ((asked, part),) = await past_of(session, position)
    assert (asked.verb, asked.asked_by, asked.why, part.outcome) == ("edit", ASKER.name, ASKER.why, "edited")


async def test_what_stays_masked_stays_as_it_was(desk: Desk) -> None:
    """A mask stands for the old value, never for itself."""
    position = await desk.fail("a", 1, Permanent("never"))
    await edited(desk, position, lambda body: {"item": MASK, "number": 8})
    assert (await desk.rows())[0].body == b'{"item":"a","number":8}'


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        (lambda body: {**body, "number": "many"}, Permanent),
        (lambda body: {"item": "a"}, Permanent),
        (lambda body: {**body, "item": "b"}, Permanent),
        (lambda body: {**body, "more": MASK}, MaskCannotBeSaved),
        (lambda body: [body], CorrectionIsNotJson),
        (lambda body: "nothing", CorrectionIsNotJson),
    ],
)
async def test_a_wrong_correction_changes_nothing(desk: Desk, change: Callable[[Any], Any], refusal: type[Exception]) -> None:
    """One that breaks the contract, or makes it a message about something else, is refused."""
    position = await desk.fail("a", 1, Permanent("never"))
    before = await desk.rows()
    with pytest.raises(refusal):
        await edited(desk, position, change)
    assert (await desk.rows(), await desk.count(correction), await desk.count(action)) == (before, 0, 0)


async def test_a_field_that_nobody_reads_is_refused(desk: Desk) -> None:
    """It would be a slip of the pen without effect. What was there before, from a newer publisher, may stay, and be changed."""
    position = await desk.fail("a", 1, Permanent("never"))
    async with desk.database.transaction() as session:
        await session.execute(update(failed_message).values(body=b'{"item":"a","number":1,"newer":{"of":1}}'))
    before = await desk.rows()
    with pytest.raises(NobodyReadsThatField, match=r"\(fields=nubmer\)"):
        await edited(desk, position, lambda body: {**body, "nubmer": 7})
    assert (await desk.rows(), await desk.count(correction)) == (before, 0)
    await edited(desk, position, lambda body: {**body, "newer": {"of": 2, "and": 3}})
    async with desk.database.transaction() as session:
        await session.execute(update(failed_message).values(body=b"\xff"))
    with pytest.raises(NobodyReadsThatField, match=r"\(fields=name\)"):
        await edited(desk, position, lambda body: {"item": "a", "number": 9, "name": "b"})


async def test_what_is_gone_or_nobodys_is_not_corrected(desk: Desk) -> None:
    """There is nothing to correct in what went through, and nobody to check what no subscription reads."""
    with pytest.raises(NothingToCorrect):
        await edited(desk, 99, lambda body: body)
    position = await desk.fail("a", 1, Permanent("never"))
    async with desk.database.transaction() as session:
        await session.execute(update(failed_message).values(subscription="former"))
    with pytest.raises(NobodyCanReadIt):
        await edited(desk, position, lambda body: body)


async def test_a_body_that_was_no_json_can_be_replaced(desk: Desk) -> None:
    """By a whole new one."""
    position = await desk.fail("a", 1, Permanent("never"))
    async with desk.database.transaction() as session:
        await session.execute(update(failed_message).values(body=b"\xff"))
    with pytest.raises(MaskCannotBeSaved):
        await edited(desk, position, lambda body: {"item": MASK, "number": 1})
    await edited(desk, position, lambda body: {"item": "a", "number": 9})
    assert (await desk.retry(position)).result == "done"
    assert await desk.effects("a") == [9]


async def test_a_message_of_a_former_name_finds_its_subscription(desk: Desk) -> None:
    """Given to the one that goes on with its work, it takes effect there."""
    position = await desk.fail("a", 1, Permanent("never"))
    async with desk.database.transaction() as session:
        await session.execute(update(failed_message).values(subscription="former"))
    assert (await desk.retry(position)).result == "foreign"
    async with desk.database.transaction() as session:
        asked = await redirect(session, desk.retrier, position, "count", ASKER)
    assert asked.verb == "redirect"
    assert (await desk.retry(position)).result == "done"
    assert await desk.effects("a") == [1]
    assert await desk.held_keys() == 0


async def test_a_redirect_doubles_nothing(desk: Desk) -> None:
    """Where the other subscription has had it, or does not know such events, it is refused."""
    delivery, envelope = desk.message("a", 1)
    async with desk.database.transaction() as session:
        await desk.failures.record(session, desk.subscription, delivery, envelope, Permanent("never"))
        await session.execute(update(failed_message).values(subscription="former"))
    position = (await desk.rows())[0].position
    assert await desk.consume(delivery, envelope) == "done"
    for to, refusal in (("count", AlreadyThere), ("nowhere", NobodyCanReadIt)):
        with pytest.raises(refusal):
            async with desk.database.transaction() as session:
                await redirect(session, desk.retrier, position, to, ASKER)


async def test_looking_at_personal_data_is_written_down(desk: Desk) -> None:
    """Who, why, and at which messages."""
    position = await desk.fail("a", 1, Permanent("never"))
    async with desk.database.transaction() as session:
        asked = await reveal(session, Filter(positions=(position,)), ASKER)
    async with desk.database.transaction() as session:
        ((seen, part),) = await past_of(session, position)
    assert (seen.id, seen.verb, seen.asked_by, part.outcome) == (asked.id, "reveal", ASKER.name, "shown")
