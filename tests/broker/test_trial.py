"""Trying a message says what a replay would do, and does nothing."""

from __future__ import annotations

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncSession

from broker import Permanent, publish
from broker._tables import failed_message, inbox, outbox
from broker._trial import Rows, Trial, attempt
from tests.broker.failing import Counted, Desk, Sold, raising


async def tried(desk: Desk, position: int) -> Trial:
    """A trial, after which all is as it was."""
    before = await desk.rows()
    trial = await attempt(desk.retrier, position)
    assert await desk.rows() == before
    assert (await desk.effects("a"), await desk.count(outbox)) == ([], 0)
    return trial


async def test_it_says_what_would_be_written_and_published(desk: Desk) -> None:
    """The rows by table, the events by name; none of them is there afterwards."""

    async def publishes(event: Sold, session: AsyncSession) -> None:
        publish(session, Counted(item=event.item))

    desk.behaviour[1] = publishes
    trial = await tried(desk, await desk.fail("a", 1, Permanent("never")))
    assert (trial.result, trial.is_well) == ("takes effect", True)
    assert trial.published == {"desk.counted": 1}
    assert trial.rows == {"effect": Rows(inserted=1)}
    assert await desk.count(inbox) == 0


async def test_the_same_failure_is_told_from_another(desk: Desk) -> None:
    """By its fingerprint: a cure that uncovers the next cause is no cure, but it is another cause."""
    desk.behaviour[1] = raising(KeyError("x"), KeyError("y"), ValueError("z"))
    position = await desk.fail("a", 1, Permanent("never"))
    assert (await desk.retry(position)).result == "failed"
    assert (await tried(desk, position)).result == "fails the same way"
    trial = await tried(desk, position)
    assert (trial.result, trial.is_well) == ("fails otherwise", False)
    assert trial.verdict is not None
    assert trial.verdict.error == "ValueError"


async def test_what_breaks_its_contract_is_not_valid(desk: Desk) -> None:
    """Which field it is stands in the reason, its value does not."""
    position = await desk.fail("a", 1, Permanent("never"))
    async with desk.database.transaction() as session:
        body = b'{"item":"a","number":"Amina"}'
        await session.execute(update(failed_message).values(body=body))
    trial = await tried(desk, position)
    assert trial.result == "not valid"
    assert trial.verdict is not None
    assert "number (int_parsing)" in trial.verdict.reason
    assert "Amina" not in trial.verdict.reason


async def test_its_place_in_the_order_is_looked_at(desk: Desk) -> None:
    """One behind another, one that is gone, and one whose subscription is."""
    await desk.fail("a", 1, Permanent("never"))
    behind = await desk.hold("a", 2)
    assert (await tried(desk, behind)).result == "behind"
    assert (await tried(desk, 99)).result == "gone"
    async with desk.database.transaction() as session:
        await session.execute(update(failed_message).where(failed_message.c.position == behind).values(subscription="former"))
    assert (await tried(desk, behind)).result == "foreign"


async def test_what_took_effect_is_known(desk: Desk) -> None:
    """A replay would only close it."""
    delivery, envelope = desk.message("b", 1)
    assert await desk.consume(delivery, envelope) == "done"
    async with desk.database.transaction() as session:
        await desk.failures.record(session, desk.subscription, delivery, envelope, Permanent("never"))
    trial = await tried(desk, (await desk.rows())[0].position)
    assert (trial.result, trial.is_well) == ("took effect", True)


async def test_a_deferred_constraint_is_checked(desk: Desk) -> None:
    """What would fail at the commit fails in the trial."""
    async with desk.database.engine.begin() as connection:
        await connection.exec_driver_sql("ALTER TABLE effect ADD UNIQUE (key, number) DEFERRABLE INITIALLY DEFERRED")
        await connection.exec_driver_sql("INSERT INTO effect (id, key, number) VALUES (gen_random_uuid(), 'c', 1)")
    trial = await attempt(desk.retrier, await desk.fail("c", 1, Permanent("never")))
    assert trial.result == "fails otherwise"
    assert trial.verdict is not None
    assert "UniqueViolationError" in trial.verdict.reason
