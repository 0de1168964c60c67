"""Programs that get tokens by a secret of their own (RFC 6749, client credentials)."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Collection
from uuid import UUID, uuid4

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from broker import clock
from services.auth import rules, totp
from services.auth.commands.audit import record
from services.auth.commands.sessions import access_token, no_longer_counts
from services.auth.errors import RoleNotFound
from services.auth.replicas import FacilityReference
from services.auth.tables import OAuthClient, Role
from services.auth.vault import Vault

EVERYWHERE = "*"


async def register_client(
    session: AsyncSession, *, name: str, roles: Collection[str], facilities: Collection[UUID] | None, by: object
) -> tuple[OAuthClient, str]:
    """A program, and its secret, which is not shown again; `facilities` None is everywhere.

    Raises RoleNotFound, NotYet for a facility not heard of.
    """
    known = set(await session.scalars(select(Role.code).where(Role.code.in_(roles))))
    if unknown := set(roles) - known:
        raise RoleNotFound(role=min(unknown))
    for facility_id in facilities or ():
        await FacilityReference.require(session, facility_id)
    secret = secrets.token_urlsafe(32)
    client = OAuthClient(
        client_id=uuid4(),
        name=name,
        secret_hash=totp.digest(secret),
        roles=sorted(set(roles)),
        facilities=[EVERYWHERE] if facilities is None else sorted(map(str, facilities)),
        registered_at=clock.now(),
    )
    session.add(client)
    await record(session, "client.registered", by=by, client_id=client.client_id)
    return client, secret


async def revoke_client(session: AsyncSession, client_id: UUID, *, by: object) -> None:
    """Ends a program's access for good; again changes nothing. Raises NotFound."""
    client = await OAuthClient.locked(session, client_id)
    if client.revoked_at is None:
        client.revoked_at = clock.now()
        no_longer_counts(session, client_id, client_id, "by_administrator")
        await record(session, "client.revoked", by=by, client_id=client_id)


async def client_token(session: AsyncSession, client_id: UUID, secret: str, vault: Vault) -> tuple[str, rules.Scope] | None:
    """A token for a program; None when these are not its credentials. Its session is the program itself."""
    client = await session.get(OAuthClient, client_id)
    kept = client.secret_hash if client else b""
    if not hmac.compare_digest(totp.digest(secret), kept) or client is None or client.revoked_at is not None:
        return None
    facilities = None if EVERYWHERE in client.facilities else frozenset(map(UUID, client.facilities))
    scope = rules.Scope(frozenset(client.roles), facilities)
    subject = f"program:{client.name}"
    return await access_token(session, vault, subject, scope.roles, scope.facilities, client_id), scope
