"""Messages that break their handler among many that do not: each stands alone, and repaired code makes it good."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import text

from tests.faults.house import FOLDERS, House
from tests.faults.services import HARMFUL, Release
from tests.waiting import until


async def test_every_kind_of_poison(house: House) -> None:
    """Whatever a handler does wrong, that message alone dies and holds its key; repaired code makes up for all of it."""
    house.start("desk")
    archive = house.start("archive", Release(fragile=True))
    await house.write()
    await house.grown("archive", by=20)
    poisoned = FOLDERS[: len(HARMFUL)]
    await house.notes(*HARMFUL, folders=poisoned)
    await house.grown("archive", by=100)

    async def all_dead() -> bool:
        await house.flows.move_clock(timedelta(hours=1))
        return [key for state, key in sorted(await house.failed()) if state == "dead"] == poisoned

    await until(all_dead)
    await house.proven(kept=await house.kept())
    assert {state for state, _ in await house.failed()} == {"dead", "held"}
    assert {key for _, key in await house.failed()} == set(poisoned)
    await house.stop(archive)
    house.start("archive")
    await house.retry_the_dead()
    await house.proven()


async def test_deadlocks_with_commands(house: House) -> None:
    """Handlers that deadlock with commands are not blamed, and have their effect once, in order."""
    rounds = 3
    house.start("desk")
    house.start("archive", Release(fragile=True))
    await house.write()
    for _ in range(rounds):
        await deadlock(house)
    query = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    await house.proven()
    assert await house.rows("archive", query) == [rounds]
    assert await house.rows("archive", "SELECT touched FROM shelf ORDER BY id") == [2 * rounds, 2 * rounds]


async def deadlock(house: House) -> None:
    """A command and the filing of a note lock the same two shelves, each beginning with the other's last.

    PostgreSQL ends the transaction that looks first after both wait: the filing, since the command is told to be patient.
    """
    touch = text("UPDATE shelf SET touched = touched + 1 WHERE id = :id")

    async def filing_waits() -> bool:
        waiting = "wait_event_type = 'Lock' AND query LIKE 'UPDATE shelf%'"
        found = await house.rows("archive", f"SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND {waiting}")
        return bool(found)

    async with house.databases["archive"].transaction() as command:
        await command.execute(text("SET LOCAL deadlock_timeout = '60s'"))
        await command.execute(touch, {"id": 2})
        await house.notes("lock")
        await until(filing_waits)
        await command.execute(touch, {"id": 1})
