"""Roles, granted at one facility or everywhere, and withdrawn."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID, uuid4

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from broker import Principal, clock, publish, touch
from contracts.auth import Grant, RoleAssigned, RoleWithdrawn
from services.auth import rules
from services.auth.commands.administrators import appoint, dismiss
from services.auth.commands.audit import record
from services.auth.commands.sessions import revoke_overtaken
from services.auth.errors import RoleIsHeldAlready, RoleNotFound, UserCannotBecome
from services.auth.replicas import FacilityReference
from services.auth.tables import FormerColleague, Role, RolePermission, User, UserRole


async def assign_role(session: AsyncSession, user_id: UUID, grant: Grant, who: Principal) -> User:
    """Gives a role to a user whom the granter knows; sessions end whose tokens would say otherwise.

    Raises RoleMayNotBeGranted, NotFound, RoleNotFound, RoleIsHeldAlready, UserCannotBecome, NotYet for a facility not heard of.
    """
    await _check(session, grant, who)
    user = await User.known_to(session, who, user_id)
    before = user.grants
    if user.status == "deleted":
        raise UserCannotBecome(state=user.status, asked=grant.role)
    if grant == rules.ADMINISTRATOR_EVERYWHERE:
        appoint(user, by=who.user_id)
    else:
        await _add(session, user, grant, by=who.user_id)
    await _assigned(session, user, before, grant, granted_by=who.user_id, by=who.subject)
    return user


async def take_role(session: AsyncSession, user: User, grant: Grant, *, offered_by: UUID) -> None:
    """Gives a user a role that they were offered. Raises as `assign_role` does."""
    before = user.grants
    await _add(session, user, grant, by=offered_by)
    await _assigned(session, user, before, grant, granted_by=offered_by, by=user.user_id)


async def withdraw_role(session: AsyncSession, user_id: UUID, grant: Grant, who: Principal) -> User:
    """Takes a role from a user whom the granter knows; sessions end whose tokens would say otherwise.

    Raises RoleMayNotBeGranted, NotFound, RoleNotFound, LastAdministratorMustStay.
    """
    await _check(session, grant, who)
    user = await User.known_to(session, who, user_id)
    before = user.grants
    if grant == rules.ADMINISTRATOR_EVERYWHERE:
        await dismiss(session, user)
    else:
        await _withdraw(session, user, grant)
    publish(
        session,
        RoleWithdrawn(user_id=user_id, role=grant.role, facility_id=grant.facility_id, withdrawn_by=who.user_id),
    )
    await _changed(session, "role.withdrawn", user, before, grant, by=who.subject)
    return user


async def permissions_of(session: AsyncSession, roles: Iterable[str]) -> set[str]:
    """What these roles permit here."""
    return set(await session.scalars(select(RolePermission.permission).where(RolePermission.role.in_(roles))))


async def _check(session: AsyncSession, grant: Grant, who: Principal) -> None:
    rules.check_may_grant(grant, await permissions_of(session, who.roles), who.facilities)


async def check_exists(session: AsyncSession, grant: Grant) -> None:
    """Whether there is such a role, and such a facility. Raises RoleNotFound, NotYet for a facility not heard of."""
    if await session.get(Role, grant.role) is None:
        raise RoleNotFound(role=grant.role)
    if grant.facility_id is not None:
        await FacilityReference.require(session, grant.facility_id)


async def _add(session: AsyncSession, user: User, grant: Grant, *, by: UUID | None) -> None:
    await check_exists(session, grant)
    if _held(user, grant) is not None:
        raise RoleIsHeldAlready(role=grant.role)
    given = UserRole(grant_id=uuid4(), role=grant.role, facility_id=grant.facility_id, granted_at=clock.now(), granted_by=by)
    user.roles.append(given)
    touch(user)


async def _assigned(
    session: AsyncSession, user: User, before: tuple[Grant, ...], grant: Grant, *, granted_by: UUID | None, by: object
) -> None:
    publish(
        session,
        RoleAssigned(user_id=user.user_id, role=grant.role, facility_id=grant.facility_id, assigned_by=granted_by),
    )
    await _changed(session, "role.assigned", user, before, grant, by=by)


async def _changed(
    session: AsyncSession, action: str, user: User, before: tuple[Grant, ...], grant: Grant, *, by: object
) -> None:
    await revoke_overtaken(session, user, before, by=by)
    where = grant.facility_id or "everywhere"
    await record(session, action, by=by, user_id=user.user_id, role=grant.role, facility_id=where)


def _held(user: User, grant: Grant) -> UserRole | None:
    return next((each for each in user.roles if (each.role, each.facility_id) == (grant.role, grant.facility_id)), None)


async def _withdraw(session: AsyncSession, user: User, grant: Grant) -> None:
    held = _held(user, grant)
    if held is None:
        raise RoleNotFound(role=grant.role)
    user.roles.remove(held)
    touch(user)
    if grant.facility_id is not None:
        former = insert(FormerColleague).values(user_id=user.user_id, facility_id=grant.facility_id)
        await session.execute(former.on_conflict_do_nothing())
