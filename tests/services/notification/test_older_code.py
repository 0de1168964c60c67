"""Code of an earlier release goes on writing while the tables are those of this one."""

from __future__ import annotations

import asyncio
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from tests.services.notification.conftest import Desk
from tests.services.notification.given import CLINICIAN, NURSE

DEVICE = "device-of-the-ward"

FINDS = text("SELECT address_id FROM addresses WHERE recipient_id = :user AND channel = 'push' AND address = :token")
REGISTERS = text(
    """
    INSERT INTO addresses (address_id, recipient_kind, recipient_id, channel, address, known_since)
    VALUES (gen_random_uuid(), 'user', :user, 'push', :token, now()) ON CONFLICT DO NOTHING
    """
)


async def registers(session: AsyncSession, user_id: UUID) -> None:
    """As it was done when a device had a row for each of its users: the user's own is found, or made and found."""
    whose = {"user": user_id, "token": DEVICE}
    if (await session.execute(FINDS, whose)).first() is None:
        await session.execute(REGISTERS, whose)
        (await session.execute(FINDS, whose)).one()


async def users_of_the_device(desk: Desk) -> list[UUID]:
    return [row.recipient_id for row in await desk.rows("SELECT recipient_id FROM addresses WHERE channel = 'push'")]


async def test_a_device_goes_to_who_registers_it_with_older_code(desk: Desk) -> None:
    """It is the next user's alone, again and again."""
    for user_id in (CLINICIAN, NURSE, NURSE, CLINICIAN):
        async with desk.work.transaction() as session:
            await registers(session, user_id)
        assert await users_of_the_device(desk) == [user_id]


async def test_two_register_a_device_at_once_with_older_code(desk: Desk) -> None:
    """The second waits for the first, and has it then."""

    async def second() -> None:
        async with desk.work.transaction() as session:
            await registers(session, NURSE)

    async with asyncio.TaskGroup() as group, desk.work.transaction() as session:
        await registers(session, CLINICIAN)
        group.create_task(second())
        await desk.work.somebody_waits()
    assert await users_of_the_device(desk) == [NURSE]
