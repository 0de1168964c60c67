"""What auth publishes: who may sign in, what they may do and where, and whose word no longer counts."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from contracts.event import Event, Personal, StateEvent

UserStatus = Literal["pending", "active", "locked", "suspended", "deleted"]
RevocationReason = Literal[
    "signed_out", "refresh_token_reused", "password_changed", "role_changed", "suspended", "erased", "by_administrator"
]
LoginFailure = Literal["unknown", "wrong_password", "wrong_code", "locked", "not_active"]


class Grant(BaseModel):
    """A role that a user has at one facility; at every one where `facility_id` is null."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    role: str
    facility_id: UUID | None


class UserRegistered(Event, name="user.registered", version=1, key="user_id"):
    """Somebody has an account, whose address is not proven yet."""

    user_id: UUID
    registered_at: datetime


class UserVerified(Event, name="user.verified", version=1, key="user_id"):
    """The user has proven that the address is theirs."""

    user_id: UUID
    verified_at: datetime


class UserChanged(StateEvent, name="user.changed", version=1, key="user_id"):
    """All that others may know of a user; feeds their references. An erased user's personal fields are empty."""

    user_id: UUID
    full_name: Annotated[str, Personal(of="user_id")]
    email: Annotated[str | None, Personal(of="user_id")]
    phone: Annotated[str | None, Personal(of="user_id")]
    locale: Annotated[str, Personal(of="user_id")]
    """BCP 47."""
    time_zone: Annotated[str, Personal(of="user_id")]
    """IANA."""
    status: UserStatus
    grants: tuple[Grant, ...]


class UserSuspended(Event, name="user.suspended", version=1, key="user_id"):
    """The user may not sign in until an administrator says otherwise."""

    user_id: UUID
    suspended_at: datetime


class UserErased(Event, name="user.erased", version=1, key="user_id", erases="user_id"):
    """The user's personal data is gone, and has to go everywhere."""

    user_id: UUID
    erased_at: datetime


class AuthRegistrationAsked(Event, name="auth.registration.asked", version=1, key="registration_id"):
    """Somebody wants an account; auth tells itself, to see afterwards whether the address has one."""

    registration_id: UUID
    asked_at: datetime


class AuthVerificationRequested(Event, name="auth.verification.requested", version=1, key="user_id"):
    """A user has to prove an address with a code, good once and until `expires_at`."""

    user_id: UUID
    code: Annotated[str, Personal(of="user_id")]
    expires_at: datetime


class AuthUserLocked(Event, name="auth.user.locked", version=1, key="user_id"):
    """Too many sign-ins failed: nobody signs in as this user before `locked_until`."""

    user_id: UUID
    locked_until: datetime


class AuthLockExpired(Event, name="auth.lock.expired", version=1, key="user_id"):
    """A lock has lasted its time; auth tells itself, to lift it."""

    user_id: UUID


class AuthCleanUpDue(Event, name="auth.clean_up.due", version=1, key="due_at"):
    """What no longer counts is to be forgotten; auth tells itself."""

    due_at: datetime


class AuthLoginSucceeded(Event, name="auth.login.succeeded", version=1, key="session_id"):
    """A user signed in."""

    session_id: UUID
    user_id: UUID
    succeeded_at: datetime


class AuthLoginFailed(Event, name="auth.login.failed", version=1, key="attempt_id"):
    """Somebody did not get in; `user_id` is null where there is no such user."""

    attempt_id: UUID
    user_id: UUID | None
    reason: LoginFailure
    failed_at: datetime


class RoleAssigned(Event, name="role.assigned", version=1, key="user_id"):
    """A user got a role, at one facility or at every one."""

    user_id: UUID
    role: str
    facility_id: UUID | None
    assigned_by: UUID | None


class RoleWithdrawn(Event, name="role.withdrawn", version=1, key="user_id"):
    """A user lost a role."""

    user_id: UUID
    role: str
    facility_id: UUID | None
    withdrawn_by: UUID | None


class SessionRevoked(StateEvent, name="session.revoked", version=1, key="session_id"):
    """No token of this session counts any more; feeds every service's list of what to refuse.

    `expires_at` is when the last of its tokens would have expired: from then on it need not be remembered.
    """

    session_id: UUID
    user_id: UUID
    reason: RevocationReason
    revoked_at: datetime
    expires_at: datetime


class AuthKeyChanged(StateEvent, name="auth.key.changed", version=1, key="kid"):
    """A public key that tokens are verified with; feeds every service's key set.

    It is published before the first token is signed with it. `expires_at` is when the last of these tokens expires; null while
    it may still sign.
    """

    kid: str
    """RFC 7638 thumbprint."""
    public_key: str
    """JSON Web Key (RFC 8037), without its private half."""
    signs_from: datetime
    expires_at: datetime | None
