"""Second factors: an authenticator app, and codes for when it is lost. Who changes them, or uses one, holds the user."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import delete
from sqlalchemy.ext.asyncio import AsyncSession

from broker import clock
from services.auth import rules, totp
from services.auth.commands.attempts import note
from services.auth.commands.audit import record
from services.auth.errors import CodeIsNeeded, CodeIsNotValid, FactorIsEnrolledAlready
from services.auth.tables import MfaFactor, RecoveryCode, User
from services.auth.vault import Vault


async def enrol_factor(session: AsyncSession, user: User, vault: Vault) -> tuple[str, str]:
    """A new secret for the app of a user, who is locked, and the address for its QR code. It counts once a code confirms it.

    Raises FactorIsEnrolledAlready.
    """
    factor = await session.get(MfaFactor, user.user_id)
    if factor is not None and factor.confirmed_at is not None:
        raise FactorIsEnrolledAlready
    secret = totp.new_secret()
    await session.merge(MfaFactor(user_id=user.user_id, sealed_secret=vault.seal(secret), confirmed_at=None, last_step=0))
    return secret, totp.address(secret, user.email or "")


async def confirm_factor(session: AsyncSession, user_id: UUID, code: str, vault: Vault) -> list[str]:
    """Makes the app count, from its first code on; gives the recovery codes, which are not shown again.

    Raises CodeIsNotValid, NotFound, FactorIsEnrolledAlready.
    """
    await User.locked(session, user_id)
    factor = await MfaFactor.seen(session, user_id)
    if factor.confirmed_at is not None:
        raise FactorIsEnrolledAlready
    if not _takes(factor, code, vault):
        raise CodeIsNotValid
    factor.confirmed_at = clock.now()
    codes = [totp.new_code() for _ in range(rules.RECOVERY_CODES)]
    session.add_all(RecoveryCode(code_hash=totp.digest(each), user_id=user_id) for each in codes)
    await record(session, "mfa.enrolled", by=user_id, user_id=user_id)
    return codes


async def remove_factor(session: AsyncSession, user_id: UUID, *, by: object) -> None:
    """Lets a user sign in by password alone again."""
    await session.execute(delete(RecoveryCode).where(RecoveryCode.user_id == user_id))
    await session.execute(delete(MfaFactor).where(MfaFactor.user_id == user_id))
    await record(session, "mfa.removed", by=by, user_id=user_id)


async def steps_up(session: AsyncSession, user: User, code: str | None, address: str, vault: Vault) -> bool:
    """Whether who has shown the password of a user, who is locked, shows a code too, if there is an app; a wrong one counts.

    Raises CodeIsNeeded when only the code is absent.
    """
    factor = await session.get(MfaFactor, user.user_id)
    if factor is None or factor.confirmed_at is None:
        return True
    if code is None:
        raise CodeIsNeeded
    if await _takes_any(session, factor, code, vault):
        return True
    note(session, user.user_id, address, "wrong_code")
    return False


async def _takes_any(session: AsyncSession, factor: MfaFactor, code: str, vault: Vault) -> bool:
    """Whether the code is the app's and new, or a recovery code that was not used; either is then used."""
    if _takes(factor, code, vault):
        return True
    mine = (RecoveryCode.user_id == factor.user_id, RecoveryCode.code_hash == totp.digest(code))
    used = await session.execute(delete(RecoveryCode).where(*mine).returning(RecoveryCode.code_hash))
    return used.first() is not None


def _takes(factor: MfaFactor, code: str, vault: Vault) -> bool:
    step = totp.step_of(code, vault.open(factor.sealed_secret), clock.now(), after=factor.last_step)
    if step is not None:
        factor.last_step = step
    return step is not None
