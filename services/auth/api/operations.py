"""Routes for who runs the platform: keys, programs, the audit log."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select

from broker import Page, PageRequest, Reading, Router, Transaction
from services.auth import commands
from services.auth.api.access import Administrator, Officer, Sealed
from services.auth.tables import AuditLog, OAuthClient
from services.auth.views import AskedClient, AuditProof, AuditView, ClientView, KeyView, NewClientView

router = Router(tags=["operations"])


@router.post("/keys/rotation", status_code=201)
async def rotate_key(who: Administrator, session: Transaction, vault: Sealed) -> KeyView:
    """Announces a new signing key; the old one stays until its last token has expired."""
    return KeyView.model_validate(await commands.rotate_key(session, vault, by=who.subject))


@router.post("/keys/announcement", status_code=204)
async def announce_keys(who: Administrator, session: Transaction) -> None:
    """Tells a service that is new to the platform which keys count."""
    await commands.announce_keys(session)


@router.post("/erasures/announcement", status_code=204)
async def announce_erasures(who: Officer, session: Transaction) -> None:
    """Tells a service that is new to the platform, or was restored from a backup, who was erased."""
    await commands.announce_erasures(session)


@router.post("/clients", status_code=201)
async def register_client(asked: AskedClient, who: Administrator, session: Transaction) -> NewClientView:
    """Lets a program get tokens. Its secret is shown this once."""
    client, secret = await commands.register_client(session, **dict(asked), by=who.subject)
    return NewClientView(**ClientView.model_validate(client).model_dump(), client_secret=secret)


@router.get("/clients")
async def list_clients(who: Administrator, session: Reading, page: PageRequest) -> Page[ClientView]:
    """Programs, by name."""
    return await page.read(session, select(OAuthClient), by=[OAuthClient.name], view=ClientView.model_validate)


@router.delete("/clients/{client_id}", status_code=204)
async def revoke_client(client_id: UUID, who: Administrator, session: Transaction) -> None:
    """Ends a program's access for good."""
    await commands.revoke_client(session, client_id, by=who.subject)


@router.get("/audit")
async def read_audit_log(who: Officer, session: Reading, page: PageRequest, user_id: UUID | None = None) -> Page[AuditView]:
    """The audit log, in order."""
    query = select(AuditLog) if user_id is None else select(AuditLog).where(AuditLog.user_id == user_id)
    return await page.read(session, query, by=[AuditLog.position], view=AuditView.model_validate)


@router.get("/audit/proof")
async def verify_audit_log(who: Officer, session: Reading) -> AuditProof:
    """Whether every entry is as it was written; if not, the first that is not."""
    return AuditProof(entries=await commands.verify_audit(session))
