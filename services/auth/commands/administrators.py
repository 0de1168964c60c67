"""Platform administrators: appointed and dismissed by each other, and never the last one."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from broker import clock, touch
from services.auth import rules
from services.auth.errors import LastAdministratorMustStay, RoleIsHeldAlready, RoleNotFound
from services.auth.tables import AdminUser, User


def appoint(user: User, *, by: UUID | None) -> None:
    """Makes a user an administrator everywhere. Raises RoleIsHeldAlready."""
    if user.administrator is not None:
        raise RoleIsHeldAlready(role=rules.ADMINISTRATOR)
    user.administrator = AdminUser(user_id=user.user_id, appointed_at=clock.now(), appointed_by=by)
    touch(user)


async def dismiss(session: AsyncSession, user: User) -> None:
    """Ends that. Raises LastAdministratorMustStay, RoleNotFound."""
    if user.administrator is None:
        raise RoleNotFound
    await check_another_remains(session, user)
    user.administrator = None
    touch(user)


async def check_another_remains(session: AsyncSession, user: User) -> None:
    """Whether the platform has an administrator without this user. Raises LastAdministratorMustStay."""
    is_one = user.administrator is not None and user.status in rules.ABLE_TO_RETURN
    if is_one and await AdminUser.count_active(session) == 1:
        raise LastAdministratorMustStay
