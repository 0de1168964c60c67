"""The certificates that providers' webhooks name: fetched outside the request, and kept."""

from __future__ import annotations

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from broker import call, clock
from services.payment import outside
from services.payment.tables import ProviderCertificate

FETCHED_AT_ONCE = 4
"""Anybody can name an address on the provider's host: so few are asked for before one of them has come."""


async def certificate_at(session: AsyncSession, url: str) -> str | None:
    """The certificate (PEM) at an address of the provider's host."""
    return await session.scalar(select(ProviderCertificate.pem).where(ProviderCertificate.url == url))


async def fetch_certificate(session: AsyncSession, url: str) -> None:
    """Asks for a certificate, unless it is being fetched, or too many are."""
    missing = select(func.count()).select_from(ProviderCertificate).where(ProviderCertificate.pem.is_(None))
    if (await session.scalar(missing) or 0) >= FETCHED_AT_ONCE:
        return
    row = insert(ProviderCertificate).values(url=url, asked_at=clock.now()).on_conflict_do_nothing()
    if await session.scalar(row.returning(ProviderCertificate.url)):
        await call(session, outside.fetch_certificate, outside.CertificateAsked(url=url), key=url)


async def keep_certificate(session: AsyncSession, url: str, pem: str | None) -> None:
    """Keeps what was fetched; what is not there may be asked for again."""
    if pem is None:
        await session.execute(delete(ProviderCertificate).where(ProviderCertificate.url == url))
    else:
        (await ProviderCertificate.locked(session, url)).pem = pem
