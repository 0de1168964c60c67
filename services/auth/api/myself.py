"""Routes for one's own account."""

from __future__ import annotations

from uuid import UUID

from fastapi import Response
from sqlalchemy import select

from broker import Page, PageRequest, Reading, Router, Transaction, refusal
from services.auth import commands
from services.auth.api.access import Address, Anybody, Myself, Sealed
from services.auth.errors import CodeIsNotValid, PasswordIsWrong
from services.auth.tables import Session, User
from services.auth.views import (
    AskedPasswordChange,
    AskedProfile,
    FactorView,
    ProfileView,
    RecoveryCodes,
    SessionView,
    ShownCode,
    ShownFactors,
    ShownPassword,
)

router = Router(tags=["myself"])


@router.get("/me")
async def show_myself(user_id: Myself, session: Reading) -> ProfileView:
    """What others are told of oneself."""
    return ProfileView.model_validate(await User.seen(session, user_id))


@router.patch("/me")
async def change_myself(asked: AskedProfile, user_id: Myself, session: Transaction) -> ProfileView:
    """Changes what is given: name, phone, locale, time zone. Others hear of it."""
    return ProfileView.model_validate(await commands.change_profile(session, user_id, asked.changes))


@router.post("/logout", status_code=204)
async def logout(who: Anybody, user_id: Myself, session: Transaction) -> None:
    """Ends the session of this token."""
    if who.session_id is not None:
        await commands.revoke_session(session, who.session_id, "signed_out", of=user_id, by=user_id)


@router.get("/sessions")
async def list_sessions(who: Anybody, session: Reading, page: PageRequest) -> Page[SessionView]:
    """One's own sessions, the newest first; a program has none."""
    query = select(Session).where(Session.user_id == who.user_id)
    by = [Session.began_at.desc(), Session.session_id.desc()]
    return await page.read(session, query, by=by, view=SessionView.model_validate)


@router.delete("/sessions/{session_id}", status_code=204)
async def revoke_session(session_id: UUID, user_id: Myself, session: Transaction) -> None:
    """Ends a session of one's own."""
    await commands.revoke_session(session, session_id, "signed_out", of=user_id, by=user_id)


@router.put("/password", status_code=204, response_model=None)
async def change_password(
    asked: AskedPasswordChange, user_id: Myself, session: Transaction, vault: Sealed, address: Address
) -> Response | None:
    """Sets a new password; who uses an authenticator app shows a code too. All sessions end."""
    user = await commands.proven(session, user_id, asked.present_password, address)
    if user is None:
        return refusal(PasswordIsWrong())
    if not await commands.steps_up(session, user, asked.code, address, vault):
        return refusal(CodeIsNotValid())
    await commands.change_password(session, user, asked.new_password)
    return None


@router.post("/mfa", status_code=201, response_model=FactorView)
async def enrol_factor(
    shown: ShownPassword, user_id: Myself, session: Transaction, vault: Sealed, address: Address
) -> FactorView | Response:
    """Begins to use an authenticator app; asked again before it is confirmed, another secret replaces the first."""
    user = await commands.proven(session, user_id, shown.password, address)
    if user is None:
        return refusal(PasswordIsWrong())
    secret, app = await commands.enrol_factor(session, user, vault)
    return FactorView(secret=secret, address=app)


@router.post("/mfa/confirmation")
async def confirm_factor(shown: ShownCode, user_id: Myself, session: Transaction, vault: Sealed) -> RecoveryCodes:
    """Makes the app's codes count."""
    return RecoveryCodes(codes=await commands.confirm_factor(session, user_id, shown.code, vault))


@router.post("/mfa/removal", status_code=204, response_model=None)
async def remove_factor(
    shown: ShownFactors, user_id: Myself, session: Transaction, vault: Sealed, address: Address
) -> Response | None:
    """Ends that; it takes a code, of the app or for when it is lost."""
    user = await commands.proven(session, user_id, shown.password, address)
    if user is None:
        return refusal(PasswordIsWrong())
    if not await commands.steps_up(session, user, shown.code, address, vault):
        return refusal(CodeIsNotValid())
    await commands.remove_factor(session, user_id, by=user_id)
    return None
