"""The first administrator, appointed by whoever has the service's database: `nilecare administrator`."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncSession

from services.auth import passwords
from services.auth.commands.administrators import appoint
from services.auth.commands.audit import record
from services.auth.commands.keys import announce_keys, signing_key
from services.auth.commands.registration import Registration, add_user
from services.auth.errors import AdministratorExistsAlready
from services.auth.tables import AdminUser, User
from services.auth.vault import Vault


async def appoint_first_administrator(session: AsyncSession, asked: Registration, vault: Vault) -> User:
    """An account that is active and may do everything, and the first signing key. Raises AdministratorExistsAlready."""
    if await AdminUser.count_active(session):
        raise AdministratorExistsAlready
    user = await User.by_email(session, asked.email) or await add_user(session, asked, status="active")
    if user.status != "active":
        user.move("active")
    user.password_hash = await passwords.hashed(asked.password)
    appoint(user, by=None)
    await signing_key(session, vault)
    await announce_keys(session)
    await record(session, "administrator.appointed", by="operator", user_id=user.user_id)
    return user
