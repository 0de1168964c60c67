"""What auth's API takes and gives."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated, Any, Literal, Self
from uuid import UUID
from zoneinfo import available_timezones

from pydantic import AfterValidator, BeforeValidator, Field

from broker import Asked, Principal, Shown
from contracts.auth import Grant, UserStatus
from services.auth import commands, rules, tables

EVERYWHERE = "*"


def _lower(address: Any) -> Any:
    return address.strip().lower() if isinstance(address, str) else address


TIME_ZONES = frozenset(available_timezones())
"""The names of the IANA time zone database (RFC 6557)."""


def _known_zone(name: str) -> str:
    if name not in TIME_ZONES:
        raise ValueError("this is no time zone")
    return name


Email = Annotated[str, BeforeValidator(_lower), Field(max_length=254, pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$")]
Password = Annotated[str, Field(max_length=rules.LONGEST_PASSWORD)]
NewPassword = Annotated[Password, Field(min_length=rules.SHORTEST_PASSWORD)]
Code = Annotated[str, Field(min_length=1, max_length=100)]
Name = Annotated[str, Field(min_length=1, max_length=200)]
Phone = Annotated[str, Field(pattern=r"^\+[0-9]{6,15}$", description="E.164.")]
Locale = Annotated[str, Field(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$", max_length=35, description="BCP 47.")]
TimeZone = Annotated[str, Field(max_length=64, description="IANA."), AfterValidator(_known_zone)]
RoleCode = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[a-z_]+$")]


class AskedRegistration(Asked):
    """Somebody wants an account."""

    email: Email
    password: NewPassword
    full_name: Name
    phone: Phone | None = None
    locale: Locale = "en"
    time_zone: TimeZone = "UTC"


class RegistrationTaken(Shown):
    """Said of every registration: whether the address was known is not."""

    status: Literal["verification_sent"] = "verification_sent"


class ShownCode(Asked):
    """The code that came to an address."""

    code: Code


class Verified(Shown):
    """Whose address is proven."""

    user_id: UUID


class AskedLogin(Asked):
    """Who signs in; `code` is the app's or a recovery code. With different roles at different facilities, one is chosen."""

    email: Email
    password: Password
    code: Code | None = None
    facility_id: UUID | None = None
    device: Annotated[str, Field(min_length=1, max_length=100)] | None = None


class AskedRefresh(Asked):
    """The refresh token of the reply before; another facility can be chosen."""

    refresh_token: Code
    facility_id: UUID | None = None


class TokenView(Shown):
    """An access token, as OAuth 2.0 (RFC 6749, 5.1) shows it, and what it says."""

    access_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 (a kind, not a secret)
    expires_in: int = int(rules.ACCESS_TOKEN_LIFETIME.total_seconds())
    roles: list[str]
    facilities: list[str]

    @classmethod
    def said(cls, scope: rules.Scope) -> dict[str, list[str]]:
        """The fields that show a scope."""
        facilities = [EVERYWHERE] if scope.facilities is None else sorted(map(str, scope.facilities))
        return {"roles": sorted(scope.roles), "facilities": facilities}


class SignedInView(TokenView):
    """What a client that signed in works with."""

    refresh_token: str
    session_id: UUID
    user_id: UUID

    @classmethod
    def of(cls, signed: commands.SignedIn) -> Self:
        """As the command gives it."""
        return cls(
            access_token=signed.access_token,
            refresh_token=signed.refresh_token,
            session_id=signed.session_id,
            user_id=signed.user_id,
            **cls.said(signed.scope),
        )


class AskedProgramToken(Asked):
    """A program shows its secret (RFC 6749, 4.4)."""

    grant_type: Literal["client_credentials"]
    client_id: UUID
    client_secret: Password


class AskedProfile(Asked):
    """What to change of oneself; what is left out, or null, stays. A phone that is given as null is forgotten."""

    full_name: Name | None = None
    phone: Phone | None = None
    locale: Locale | None = None
    time_zone: TimeZone | None = None

    @property
    def changes(self) -> dict[str, str | None]:
        """By the names of the fields."""
        given = self.model_dump(exclude_unset=True)
        return {name: value for name, value in given.items() if value is not None or name == "phone"}


class SessionView(Shown):
    """A session of one's own."""

    session_id: UUID
    facility_id: UUID | None
    status: rules.SessionStatus
    began_at: datetime
    last_used_at: datetime


class AskedPasswordChange(Asked):
    """The present password and the one to be; `code` is the app's or a recovery code, for who uses an app."""

    present_password: Password
    new_password: NewPassword
    code: Code | None = None


class ShownPassword(Asked):
    """The present password, to prove who asks."""

    password: Password


class ShownFactors(ShownPassword):
    """The present password, and a code of the app or a recovery code, to prove who asks."""

    code: Code | None = None


class FactorView(Shown):
    """A secret for an authenticator app; `address` makes its QR code. Shown once."""

    secret: str
    address: str


class RecoveryCodes(Shown):
    """Codes that each replace the app once. Shown once."""

    codes: list[str]


class GrantView(Shown):
    """A role; at every facility where `facility_id` is null."""

    role: str
    facility_id: UUID | None


class AskedGrant(Asked):
    """A role to give."""

    role: RoleCode
    facility_id: UUID | None = None

    @property
    def grant(self) -> Grant:
        """As rules take it."""
        return Grant(role=self.role, facility_id=self.facility_id)


class AskedInvitation(Asked):
    """A role to offer to who has this address."""

    email: Email
    role: RoleCode
    facility_id: UUID


class InvitationView(Shown):
    """A role that is on offer to oneself."""

    invitation_id: UUID
    role: str
    facility_id: UUID
    expires_at: datetime


class SentInvitationView(InvitationView):
    """A role that is on offer, and to whom."""

    email: str
    invited_at: datetime


class UserView(Shown):
    """A user, as far as a token sees them."""

    user_id: UUID
    full_name: str
    email: str | None
    status: UserStatus
    registered_at: datetime
    locked_until: datetime | None
    grants: list[GrantView]

    @classmethod
    def of(cls, user: tables.User, who: Principal) -> Self:
        """What `who` may know: not what the user does at other facilities."""
        seen = [each for each in user.grants if who.facilities is None or each.facility_id in who.facilities]
        grants = [GrantView(role=each.role, facility_id=each.facility_id) for each in seen]
        return cls(
            user_id=user.user_id,
            full_name=user.full_name,
            email=user.email,
            status=user.status,
            registered_at=user.registered_at,
            locked_until=user.locked_until,
            grants=grants,
        )


class ProfileView(Shown):
    """Oneself."""

    user_id: UUID
    email: str | None
    full_name: str
    phone: str | None
    locale: str
    time_zone: str
    status: UserStatus
    registered_at: datetime
    grants: list[GrantView]


class RoleView(Shown):
    """A role that can be granted."""

    code: str
    description: str


class AskedClient(Asked):
    """A program; `facilities` null is everywhere."""

    name: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[a-z0-9-]+$")]
    roles: Annotated[list[RoleCode], Field(min_length=1, max_length=20)]
    facilities: Annotated[list[UUID], Field(min_length=1, max_length=100)] | None


class ClientView(Shown):
    """A program that can get tokens."""

    client_id: UUID
    name: str
    roles: list[str]
    facilities: list[str]
    registered_at: datetime
    revoked_at: datetime | None


class NewClientView(ClientView):
    """A program, with the secret that is shown this once."""

    client_secret: str


class KeyView(Shown):
    """A signing key."""

    kid: str
    signs_from: datetime
    expires_at: datetime | None


class KeySetView(Shown):
    """A JSON Web Key Set (RFC 7517)."""

    keys: list[dict[str, Any]]

    @classmethod
    def of(cls, keys: list[tables.SigningKey]) -> Self:
        """The public halves."""
        return cls(keys=[json.loads(key.public_key) for key in keys])


class AuditView(Shown):
    """An entry of the audit log."""

    position: int
    at: datetime
    action: str
    actor: str
    user_id: UUID | None
    facts: dict[str, str]


class AuditProof(Shown):
    """The chain is whole, up to this many entries."""

    entries: int
