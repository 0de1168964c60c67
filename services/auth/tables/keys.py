"""What tokens are signed with, and the programs that get them."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import LargeBinary
from sqlalchemy.orm import Mapped, mapped_column

from broker import StateOwner, publishes_state
from contracts.auth import AuthKeyChanged
from services.auth.tables.base import Base


@publishes_state(AuthKeyChanged)
class SigningKey(StateOwner, Base):
    """A key pair. The private half is sealed, and gone once it can sign no more."""

    __tablename__ = "auth_signing_keys"

    kid: Mapped[str] = mapped_column(primary_key=True)
    public_key: Mapped[str]
    sealed_private_key: Mapped[str | None] = mapped_column(comment="JWE")
    signs_from: Mapped[datetime]
    expires_at: Mapped[datetime | None] = mapped_column(comment="when the last of its tokens expires")


class OAuthClient(Base):
    """A program that gets tokens by its own secret (RFC 6749, section 4.4). Only a hash of the secret is kept."""

    __tablename__ = "oauth_clients"

    client_id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    name: Mapped[str] = mapped_column(unique=True)
    secret_hash: Mapped[bytes] = mapped_column(LargeBinary)
    roles: Mapped[list[str]]
    facilities: Mapped[list[str]] = mapped_column(comment="ids; * is every one")
    registered_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]
