"""Invitations: a role on offer to an address. Who has it is not known to who invites, unless and until they take it."""

from __future__ import annotations

from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from broker import NotFound, Principal, clock
from contracts.auth import Grant
from services.auth import rules
from services.auth.commands.audit import record
from services.auth.commands.roles import check_exists, permissions_of, take_role
from services.auth.errors import RoleMayNotBeGranted, UserHasNoRoleThere
from services.auth.tables import Invitation, User


async def invite(session: AsyncSession, email: str, role: str, facility_id: UUID, who: Principal, *, by: UUID) -> Invitation:
    """Offers a role to who has this address, now or later; offered again, it is on offer for longer. `by`: whose token it is.

    Raises RoleMayNotBeGranted, RoleNotFound, NotYet for a facility not heard of.
    """
    grant = Grant(role=role, facility_id=facility_id)
    rules.check_may_offer(grant, await permissions_of(session, who.roles), who.facilities)
    await check_exists(session, grant)
    same = (Invitation.email == email, Invitation.role == role, Invitation.facility_id == facility_id)
    await session.execute(delete(Invitation).where(*same))
    now = clock.now()
    offered = Invitation(
        invitation_id=uuid4(),
        email=email,
        role=role,
        facility_id=facility_id,
        invited_by=by,
        invited_at=now,
        expires_at=now + rules.INVITATION_LIFETIME,
    )
    session.add(offered)
    await record(session, "role.offered", by=by, role=role, facility_id=facility_id)
    return offered


async def take_back_invitation(session: AsyncSession, invitation_id: UUID, who: Principal) -> None:
    """Ends an offer. Raises NotFound, also for one at another facility."""
    offered = await Invitation.locked(session, invitation_id)
    who.at(offered.facility_id)
    await session.delete(offered)
    await record(session, "offer.withdrawn", by=who.subject, role=offered.role, facility_id=offered.facility_id)


def is_open_for(user_id: UUID | None) -> ColumnElement[bool]:
    """The condition that keeps a query to what is on offer to a user, at the address that they have proven."""
    theirs = select(User.email).where(User.user_id == user_id).scalar_subquery()
    return (Invitation.email == theirs) & (Invitation.expires_at > clock.now())


async def accept_invitation(session: AsyncSession, user_id: UUID, invitation_id: UUID) -> User:
    """Takes the role; from then on who grants roles there knows the user.

    Raises NotFound for what is not on offer to this user, RoleMayNotBeGranted when who offered it may do so no more,
    RoleIsHeldAlready.
    """
    user = await User.locked(session, user_id)
    query = select(Invitation).where(Invitation.invitation_id == invitation_id, is_open_for(user_id))
    offered = (await session.scalars(query.with_for_update())).one_or_none()
    if offered is None:
        raise NotFound
    await _check_counts(session, offered)
    await session.delete(offered)
    await take_role(session, user, offered.grant, offered_by=offered.invited_by)
    return user


async def _check_counts(session: AsyncSession, offered: Invitation) -> None:
    by = await session.get(User, offered.invited_by)
    if by is None or by.status not in rules.ABLE_TO_RETURN:
        raise RoleMayNotBeGranted(role=offered.role)
    try:
        theirs = rules.scope_of(by.grants, offered.facility_id)
    except UserHasNoRoleThere as gone:
        raise RoleMayNotBeGranted(role=offered.role) from gone
    rules.check_may_offer(offered.grant, await permissions_of(session, theirs.roles), theirs.facilities)
