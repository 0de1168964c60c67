"""Second factors, and what came of attempts to sign in."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID, uuid4

from sqlalchemy import BigInteger, ForeignKey, Index, LargeBinary
from sqlalchemy.orm import Mapped, mapped_column

from contracts.auth import LoginFailure
from services.auth.tables.base import Base

Outcome = LoginFailure | Literal["succeeded"]


class MfaFactor(Base):
    """An authenticator app of a user (RFC 6238). It counts once a first code has confirmed it."""

    __tablename__ = "mfa_factors"

    user_id: Mapped[UUID] = mapped_column(ForeignKey("auth_users.user_id"), primary_key=True)
    sealed_secret: Mapped[str] = mapped_column(comment="JWE")
    confirmed_at: Mapped[datetime | None]
    last_step: Mapped[int] = mapped_column(BigInteger, comment="the time step of the last code that was taken")


class RecoveryCode(Base):
    """What lets a user in once without the app. Only a hash of it is kept."""

    __tablename__ = "mfa_recovery_codes"

    code_hash: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("auth_users.user_id"), index=True)


class LoginAttempt(Base):
    """Somebody tried to sign in."""

    __tablename__ = "auth_login_attempts"
    __table_args__ = (
        Index(None, "user_id", "attempted_at"),
        Index(None, "address", "attempted_at"),
    )

    attempt_id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    user_id: Mapped[UUID | None] = mapped_column(comment="null where there is no such user")
    address: Mapped[str | None] = mapped_column(comment="of the client's connection; null once its user is erased")
    outcome: Mapped[str]
    attempted_at: Mapped[datetime]
