"""Failed messages go out whole and come back as dead letters, once."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import delete, update

from broker import Permanent
from broker._context import uuid7
from broker._dead_letters import Filter
from broker._portable import Line, LineIsWrong, exported, import_line
from broker._tables import failed_message, held_key
from tests.broker.failing import Desk


async def lines_of(desk: Desk) -> list[str]:
    async with desk.database.transaction() as session:
        return [line.as_text async for _, line in exported(session, "desk", Filter())]


async def take(desk: Desk, line: str) -> str:
    async with desk.database.transaction() as session:
        return (await import_line(session, desk.retrier.subscriptions, desk.failures, Line.read(line)))[0]


async def test_a_message_comes_back_as_it_was(desk: Desk) -> None:
    """All that is known of it but its number, also a body that is no text; replayed, it takes effect."""
    await desk.fail("a", 1, Permanent("never"))
    await desk.fail("b", 2, Permanent("never"))
    async with desk.database.transaction() as session:
        await session.execute(update(failed_message).where(failed_message.c.key == "b").values(body=b"\xff\x00"))
    before, lines = await desk.rows(), await lines_of(desk)
    async with desk.database.transaction() as session:
        await session.execute(delete(failed_message))
        await session.execute(delete(held_key))
    assert [await take(desk, line) for line in lines] == ["imported", "imported"]
    after = await desk.rows()
    assert [row._asdict() | {"position": 0} for row in after] == [row._asdict() | {"position": 0} for row in before]
    assert (await desk.retry(after[0].position)).result == "done"
    assert await desk.effects("a") == [1]


async def test_nothing_is_doubled(desk: Desk) -> None:
    """What is there, or took effect meanwhile, is known; so is one without an id that is there."""
    position = await desk.fail("a", 1, Permanent("never"))
    delivery, _ = desk.message("b", 2)
    async with desk.database.transaction() as session:
        await desk.failures.record(session, desk.subscription, delivery, None, Permanent("nobody believes it"))
    lines = await lines_of(desk)
    assert [await take(desk, line) for line in lines] == ["known", "known"]
    await desk.retry(position)
    assert await take(desk, lines[0]) == "known"
    assert len(await desk.rows()) == 1


async def test_what_is_said_of_a_failure_elsewhere_is_taken_over_without_values(desk: Desk) -> None:
    """Neither the text of an exception that is not ours, nor what is masked in the body, is shown to anybody afterwards."""
    await desk.fail("a", 1, Permanent("never"))
    line = json.loads((await lines_of(desk))[0])
    async with desk.database.transaction() as session:
        await session.execute(delete(failed_message))
    body = json.dumps({"item": "a", "number": 1, "name": "Amina Njeri"})
    for claimed in (
        {"error": "KeyError", "reason": "KeyError: 'Amina'", "fingerprint": "KeyError: 'Amina'", "stack": "name = 'Amina'"},
        {"reason": "Amina Njeri takes no money, says AMINA"},
    ):
        assert await take(desk, json.dumps(line | {"id": str(uuid7()), "body": body} | claimed)) == "imported"
    first, second = await desk.rows()
    assert (first.error, first.reason) == ("KeyError", "KeyError: what was said of it elsewhere is not kept")
    assert (first.fingerprint, first.stack) == ("KeyError", "…")
    assert second.reason == "••• takes no money, says •••"


async def test_what_has_no_subscription_here_is_refused(desk: Desk) -> None:
    """It would lie there for ever."""
    await desk.fail("a", 1, Permanent("never"))
    line = json.loads((await lines_of(desk))[0])
    assert await take(desk, json.dumps(line | {"subscription": "nowhere"})) == "foreign"


@given(st.text())
def test_any_other_line_is_refused(text: str) -> None:
    """With a sentence that names fields and no value."""
    with pytest.raises(LineIsWrong) as wrong:
        Line.read(text)
    assert len(text) < 8 or text not in str(wrong.value)


async def test_a_line_with_two_bodies_is_refused(desk: Desk) -> None:
    """Nobody knows which it is."""
    await desk.fail("a", 1, Permanent("never"))
    line = json.loads((await lines_of(desk))[0])
    for bodies in ({"body_base64": "QQ=="}, {"body": None}):
        with pytest.raises(LineIsWrong):
            Line.read(json.dumps(line | bodies))
