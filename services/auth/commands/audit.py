"""The audit log: appending to it, and proving that it is whole."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from broker import clock
from services.auth import rules
from services.auth.errors import AuditChainIsBroken
from services.auth.tables import AuditLog

ALONE = text("SELECT pg_advisory_xact_lock(hashtextextended('auth audit', 0))")
AT_ONCE = 1000


async def record(session: AsyncSession, action: str, *, by: object, user_id: UUID | None = None, **facts: object) -> None:
    """Appends an entry. The last thing that a command does: until it commits, nobody else appends.

    Ids, roles and reasons only; nothing personal.
    """
    await session.execute(ALONE)
    last = (await session.execute(select(AuditLog.position, AuditLog.hash).order_by(AuditLog.position.desc()).limit(1))).first()
    entry = AuditLog(
        position=last.position + 1 if last else 1,
        at=clock.now(),
        action=action,
        actor=str(by),
        user_id=user_id,
        facts={name: str(value) for name, value in facts.items()},
        previous_hash=last.hash if last else rules.FIRST_HASH,
    )
    entry.hash = rules.seal_of(entry)
    session.add(entry)
    await session.flush()


async def verify(session: AsyncSession) -> int:
    """How many entries there are, each as it was written. Raises AuditChainIsBroken with the first that is not.

    That the last ones are missing no chain can tell: compare the number with one that was written down elsewhere.
    """
    position, seal = 0, rules.FIRST_HASH
    while True:
        following = select(AuditLog).where(AuditLog.position > position).order_by(AuditLog.position).limit(AT_ONCE)
        entries = (await session.scalars(following)).all()
        broken = rules.first_broken(entries, after=position, seal=seal)
        if broken is not None:
            raise AuditChainIsBroken(position=broken)
        if not entries:
            return position
        position, seal = entries[-1].position, entries[-1].hash
