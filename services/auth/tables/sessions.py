"""Sessions: who is signed in, by which refresh tokens, and which sessions no longer count."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import ForeignKey, LargeBinary, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from broker import StateOwner, publishes_state
from contracts.auth import RevocationReason, SessionRevoked
from services.auth import rules
from services.auth.tables.base import Base


class Device(Base):
    """What a user signs in from, as the client calls it."""

    __tablename__ = "auth_devices"
    __table_args__ = (UniqueConstraint("user_id", "name"),)

    device_id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("auth_users.user_id"))
    name: Mapped[str]
    first_seen_at: Mapped[datetime]
    last_seen_at: Mapped[datetime]


class Session(Base):
    """A user signed in: the family of all refresh tokens that follow from one sign-in."""

    __tablename__ = "auth_sessions"

    session_id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("auth_users.user_id"), index=True)
    device_id: Mapped[UUID | None] = mapped_column(ForeignKey("auth_devices.device_id"))
    facility_id: Mapped[UUID | None] = mapped_column(comment="where its tokens count, if the user chose one")
    chosen_at: Mapped[datetime | None] = mapped_column(comment="when another facility was chosen than at sign-in")
    status: Mapped[rules.SessionStatus]
    began_at: Mapped[datetime]
    last_used_at: Mapped[datetime]

    def move(self, to: rules.SessionStatus) -> None:
        """Changes its state. Raises SessionCannotBecome."""
        self.status = rules.SESSION.moved(self.status, to)


class RefreshToken(Base):
    """A refresh token, good once. Only a hash of it is kept."""

    __tablename__ = "auth_refresh_tokens"

    token_hash: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    session_id: Mapped[UUID] = mapped_column(ForeignKey("auth_sessions.session_id"), index=True)
    status: Mapped[rules.RefreshTokenStatus]
    expires_at: Mapped[datetime]

    def move(self, to: rules.RefreshTokenStatus) -> None:
        """Changes its state. Raises SessionCannotBecome."""
        self.status = rules.REFRESH_TOKEN.moved(self.status, to)


@publishes_state(SessionRevoked)
class RevokedSession(StateOwner, Base):
    """A session, of a user or of a program, of which no token counts any more."""

    __tablename__ = "auth_revoked_sessions"

    session_id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(comment="the program's id, where it was a program's")
    reason: Mapped[RevocationReason]
    revoked_at: Mapped[datetime]
    expires_at: Mapped[datetime]
