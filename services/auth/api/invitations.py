"""Routes for roles that are offered to an address, and taken by who has it."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select

from broker import Page, PageRequest, Reading, Router, Transaction
from services.auth import commands
from services.auth.api.access import Anybody, Granter, Myself
from services.auth.tables import Invitation
from services.auth.views import AskedInvitation, InvitationView, SentInvitationView, UserView

router = Router(tags=["invitations"])


@router.post("/invitations", status_code=201)
async def invite(asked: AskedInvitation, who: Granter, user_id: Myself, session: Transaction) -> SentInvitationView:
    """Offers a role to who has this address; whether somebody has it is not said."""
    return SentInvitationView.model_validate(await commands.invite(session, **dict(asked), who=who, by=user_id))


@router.get("/invitations")
async def list_invitations(who: Granter, session: Reading, page: PageRequest) -> Page[SentInvitationView]:
    """What is on offer at the token's facilities, or was until lately."""
    query = select(Invitation).where(who.within(Invitation.facility_id))
    by = [Invitation.invited_at, Invitation.invitation_id]
    return await page.read(session, query, by=by, view=SentInvitationView.model_validate)


@router.delete("/invitations/{invitation_id}", status_code=204)
async def take_back_invitation(invitation_id: UUID, who: Granter, session: Transaction) -> None:
    """Ends an offer."""
    await commands.take_back_invitation(session, invitation_id, who)


@router.get("/me/invitations")
async def list_my_invitations(who: Anybody, session: Reading, page: PageRequest) -> Page[InvitationView]:
    """What is on offer to oneself; a program is offered nothing."""
    query = select(Invitation).where(commands.is_open_for(who.user_id))
    by = [Invitation.invited_at, Invitation.invitation_id]
    return await page.read(session, query, by=by, view=InvitationView.model_validate)


@router.post("/me/invitations/{invitation_id}/acceptance")
async def accept_invitation(invitation_id: UUID, who: Anybody, user_id: Myself, session: Transaction) -> UserView:
    """Takes the role: who grants roles there sees one from then on, and sessions end whose tokens would say otherwise."""
    return UserView.of(await commands.accept_invitation(session, user_id, invitation_id), who)
