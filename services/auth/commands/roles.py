"""Roles, granted at one facility or everywhere, and withdrawn."""

from __future__ import annotations

from uuid import UUID, uuid4

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from broker import Principal, clock, publish, touch
from contracts.auth import Grant, RoleAssigned, RoleWithdrawn
from services.auth import rules
from services.auth.commands.administrators import appoint, dismiss
from services.auth.commands.audit import record
from services.auth.commands.sessions import revoke_sessions
from services.auth.errors import RoleIsHeldAlready, RoleNotFound, UserCannotBecome
from services.auth.replicas import FacilityReference
from services.auth.tables import Role, RolePermission, User, UserRole


async def assign_role(session: AsyncSession, user_id: UUID, grant: Grant, who: Principal) -> User:
    """Gives a user a role; their sessions end, so that no token says otherwise.

    Raises RoleMayNotBeGranted, RoleNotFound, RoleIsHeldAlready, UserCannotBecome, NotYet for a facility not heard of.
    """
    await _check(session, grant, who)
    user = await User.locked(session, user_id)
    if user.status == "deleted":
        raise UserCannotBecome(state=user.status, asked=grant.role)
    if grant == rules.ADMINISTRATOR_EVERYWHERE:
        appoint(user, by=who.user_id)
    else:
        await _grant(session, user, grant, who)
    publish(
        session,
        RoleAssigned(user_id=user_id, role=grant.role, facility_id=grant.facility_id, assigned_by=who.user_id),
    )
    await _changed(session, "role.assigned", user, grant, who)
    return user


async def withdraw_role(session: AsyncSession, user_id: UUID, grant: Grant, who: Principal) -> User:
    """Takes a role from a user, whose sessions end.

    Raises RoleMayNotBeGranted, RoleNotFound, LastAdministratorMustStay.
    """
    await _check(session, grant, who)
    user = await User.locked(session, user_id)
    if grant == rules.ADMINISTRATOR_EVERYWHERE:
        await dismiss(session, user)
    else:
        _withdraw(user, grant)
    publish(
        session,
        RoleWithdrawn(user_id=user_id, role=grant.role, facility_id=grant.facility_id, withdrawn_by=who.user_id),
    )
    await _changed(session, "role.withdrawn", user, grant, who)
    return user


async def permissions_of(session: AsyncSession, who: Principal) -> set[str]:
    """What the roles in a token permit here."""
    return set(await session.scalars(select(RolePermission.permission).where(RolePermission.role.in_(who.roles))))


async def _check(session: AsyncSession, grant: Grant, who: Principal) -> None:
    rules.check_may_grant(grant, await permissions_of(session, who), who.facilities)


async def _grant(session: AsyncSession, user: User, grant: Grant, who: Principal) -> None:
    if await session.get(Role, grant.role) is None:
        raise RoleNotFound(role=grant.role)
    if grant.facility_id is not None:
        await FacilityReference.require(session, grant.facility_id)
    if _held(user, grant) is not None:
        raise RoleIsHeldAlready(role=grant.role)
    given = UserRole(
        grant_id=uuid4(), role=grant.role, facility_id=grant.facility_id, granted_at=clock.now(), granted_by=who.user_id
    )
    user.roles.append(given)
    touch(user)


async def _changed(session: AsyncSession, action: str, user: User, grant: Grant, who: Principal) -> None:
    await revoke_sessions(session, user.user_id, "role_changed", by=who.subject)
    where = grant.facility_id or "everywhere"
    await record(session, action, by=who.subject, user_id=user.user_id, role=grant.role, facility_id=where)


def _held(user: User, grant: Grant) -> UserRole | None:
    return next((each for each in user.roles if (each.role, each.facility_id) == (grant.role, grant.facility_id)), None)


def _withdraw(user: User, grant: Grant) -> None:
    held = _held(user, grant)
    if held is None:
        raise RoleNotFound(role=grant.role)
    user.roles.remove(held)
    touch(user)
