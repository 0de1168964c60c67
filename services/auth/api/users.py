"""Routes for other people's accounts and roles."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select

from broker import Idempotent, NotFound, Page, PageRequest, Reading, Router, Transaction
from contracts.auth import Grant
from services.auth import commands
from services.auth.api.access import Administrator, Granter, Officer
from services.auth.tables import Role, User
from services.auth.views import AskedGrant, RoleView, UserView

router = Router(tags=["users"])


@router.get("/users")
async def list_users(who: Granter, session: Reading, page: PageRequest) -> Page[UserView]:
    """Users who have or had a role at the token's facilities; everywhere, all."""
    query = select(User).where(User.seen_by(who))
    return await page.read(session, query, by=[User.registered_at, User.user_id], view=lambda user: UserView.of(user, who))


@router.get("/users/{user_id}")
async def show_user(user_id: UUID, who: Granter, session: Reading) -> UserView:
    """One of them."""
    user = (await session.scalars(select(User).where(User.user_id == user_id, User.seen_by(who)))).one_or_none()
    if user is None:
        raise NotFound
    return UserView.of(user, who)


@router.get("/roles")
async def list_roles(who: Granter, session: Reading, page: PageRequest) -> Page[RoleView]:
    """The roles that there are."""
    return await page.read(session, select(Role), by=[Role.code], view=RoleView.model_validate)


@router.post("/users/{user_id}/roles")
async def assign_role(user_id: UUID, asked: AskedGrant, who: Granter, session: Transaction, key: Idempotent) -> UserView:
    """Gives a role to who has or had one there; sessions end whose tokens would say otherwise."""
    return UserView.of(await commands.assign_role(session, user_id, asked.grant, who), who)


@router.delete("/users/{user_id}/roles/{role}")
async def withdraw_role(
    user_id: UUID, role: str, who: Granter, session: Transaction, facility_id: UUID | None = None
) -> UserView:
    """Takes a role; sessions end whose tokens would say otherwise."""
    grant = Grant(role=role, facility_id=facility_id)
    return UserView.of(await commands.withdraw_role(session, user_id, grant, who), who)


@router.post("/users/{user_id}/suspension")
async def suspend(user_id: UUID, who: Administrator, session: Transaction) -> UserView:
    """Keeps a user out."""
    return UserView.of(await commands.suspend(session, user_id, by=who.subject), who)


@router.delete("/users/{user_id}/suspension")
async def reinstate(user_id: UUID, who: Administrator, session: Transaction) -> UserView:
    """Ends a suspension; whose address was not proven before has to prove it still."""
    return UserView.of(await commands.reinstate(session, user_id, by=who.subject), who)


@router.delete("/users/{user_id}/lock")
async def unlock(user_id: UUID, who: Administrator, session: Transaction) -> UserView:
    """Ends a lock before its time."""
    return UserView.of(await commands.unlock(session, user_id, by=who.subject), who)


@router.delete("/users/{user_id}/sessions", status_code=204)
async def revoke_sessions(user_id: UUID, who: Administrator, session: Transaction) -> None:
    """Ends all sessions of a user."""
    await User.locked(session, user_id)
    await commands.revoke_sessions(session, user_id, "by_administrator", by=who.subject)


@router.delete("/users/{user_id}/mfa", status_code=204)
async def remove_factor(user_id: UUID, who: Administrator, session: Transaction) -> None:
    """Lets a user who lost app and recovery codes sign in by password alone."""
    await User.locked(session, user_id)
    await commands.remove_factor(session, user_id, by=who.subject)


@router.delete("/users/{user_id}")
async def erase(user_id: UUID, who: Officer, session: Transaction) -> UserView:
    """Forgets a person, here and everywhere."""
    return UserView.of(await commands.erase(session, user_id, by=who.subject), who)
