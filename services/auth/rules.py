"""What auth decides without asking anybody: states, lock-out, time limits, who may grant what, and what a token says.

Roles are granted at one facility, or everywhere. In auth itself they permit:

    role              everywhere                                  at one facility
    administrator     all; appoints and dismisses administrators  grants and withdraws any other role there
    facility_manager  grants and withdraws all but these two      grants and withdraws roles there
    privacy_officer   reads and verifies the audit log, erases    nothing
    any other         nothing                                     nothing

Who grants at one facility sees, and grants to, those who have or had a role there, and nobody else: others they invite by
address, and learn who that is once the invitation is taken.

What each role may do in another service, that service says at its routes. A token carries a role only if its user has it at
every facility that the token carries: with different roles at different facilities, one chooses a facility.

Sources: NIST SP 800-63B-4 (passwords, throttling), OWASP Password Storage and Authentication Cheat Sheets, RFC 6238 (TOTP),
RFC 9700 (refresh tokens), NIST RBAC (ANSI INCITS 359).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, Protocol
from uuid import UUID

from broker import LifeCycle
from contracts.auth import Grant, LoginFailure, UserStatus
from services.auth.errors import RoleMayNotBeGranted, SessionCannotBecome, UserCannotBecome, UserHasNoRoleThere

ACCESS_TOKEN_LIFETIME = timedelta(minutes=10)
"""How long a revocation has to be remembered."""

REFRESH_TOKEN_LIFETIME = timedelta(days=7)
"""Since its last use, which gives a new one. The old one has no grace: who lost a reply signs in again (RFC 9700, 4.14.2)."""

SESSION_LIFETIME = timedelta(days=30)
"""Since the sign-in, however much it is used (NIST SP 800-63B-4, 2.1.3; OWASP ASVS 5.0, 7.3.2)."""

VERIFICATION_LIFETIME = timedelta(hours=24)
OPEN_VERIFICATIONS = 10
"""How many codes may be on their way to one address: whoever registers it over and over does not fill its mailbox."""

REGISTRATION_KEPT = timedelta(hours=24)
"""How long a registration is kept that auth did not get round to: who asked for it has long asked again."""

UNPROVEN_KEPT = timedelta(days=30)
"""How long an account is kept whose address nobody proves."""

CLOCK_SKEW = timedelta(minutes=1)
"""What services' clocks may differ by, at most, when they look whether a token has expired."""

FAILURES_PER_ACCOUNT = 5
FAILURES_PER_ADDRESS = 50
"""More than for an account: a whole hospital may come from one address."""

FAILURE_WINDOW = timedelta(minutes=15)
LOCK_LASTS = timedelta(minutes=15)
FAMILIAR_FOR = timedelta(days=30)
"""Since the last sign-in from an address. There a lock that others brought about does not count: nobody can be kept out by
somebody else's guesses (OWASP, Slow Down Online Guessing Attacks with Device Cookies)."""

INVITATION_LIFETIME = timedelta(days=14)
"""How long a role is on offer."""

CLEAN_UP_EVERY = timedelta(days=1)
CLEANED_AT_ONCE = 500
"""Rows of a kind, in one transaction."""

KEY_ANNOUNCED_FOR = timedelta(minutes=5)
"""How long every service has had a new key before it signs."""

RECOVERY_CODES = 10
SHORTEST_PASSWORD, LONGEST_PASSWORD = 15, 256
"""NIST SP 800-63B-4, 3.1.1.2; no rule of composition, as it asks for."""

ADMINISTRATOR = "administrator"
ADMINISTRATOR_EVERYWHERE = Grant(role=ADMINISTRATOR, facility_id=None)
PRIVACY_OFFICER_EVERYWHERE = Grant(role="privacy_officer", facility_id=None)
"""Erases anybody, administrators too: only these say who may."""

ABLE_TO_RETURN: frozenset[UserStatus] = frozenset({"active", "locked"})
"""The states of a user who can act, at the latest when a lock has expired."""

USER = LifeCycle[UserStatus](
    {
        "pending": {"active", "suspended", "deleted"},
        "active": {"locked", "suspended", "deleted"},
        "locked": {"active", "suspended", "deleted"},
        "suspended": {"pending", "active", "deleted"},
        "deleted": set(),
    },
    refused=UserCannotBecome,
)

SessionStatus = Literal["active", "revoked"]
SESSION = LifeCycle[SessionStatus]({"active": {"revoked"}, "revoked": set()}, refused=SessionCannotBecome)

RefreshTokenStatus = Literal["active", "rotated", "revoked"]
REFRESH_TOKEN = LifeCycle[RefreshTokenStatus](
    {"active": {"rotated", "revoked"}, "rotated": set(), "revoked": set()}, refused=SessionCannotBecome
)

COUNTED: frozenset[LoginFailure] = frozenset({"unknown", "wrong_password", "wrong_code"})
"""Failures that are somebody's guess; to try again while locked is none."""


def refused_because(
    status: UserStatus | None,
    *,
    is_password_right: bool,
    is_address_locked: bool,
    is_guessed_at: bool,
    is_familiar: bool,
) -> LoginFailure | None:
    """Why somebody does not get in by password, for us alone to know; None when they do. `status` None: no such user.

    is_guessed_at: whether the account was guessed at too often, and is about to be locked if it is not yet.
    is_familiar: whether the account's lock does not count where they come from.
    """
    if status is None:
        return "unknown"
    if is_address_locked or ((status == "locked" or is_guessed_at) and not is_familiar):
        return "locked"
    if not is_password_right:
        return "wrong_password"
    return None if status in ABLE_TO_RETURN else "not_active"


def is_to_be_locked(status: UserStatus | None, failures: int) -> bool:
    """Whether an account's latest failure, the last of so many within the window, locks it."""
    return status == "active" and failures >= FAILURES_PER_ACCOUNT


def reinstated_as(*, is_proven: bool) -> UserStatus:
    """What a suspended user is again: whose address was never proven has to prove it still; a lock from before is over."""
    return "active" if is_proven else "pending"


def is_familiar(successes: int, failures: int) -> bool:
    """Whether an address is one that a user signs in from, and not one that their account is now guessed at from."""
    return successes > 0 and failures < FAILURES_PER_ACCOUNT


def failures_count_since(now: datetime, forgiven: datetime) -> datetime:
    """From when on an account's failures count: within the window, and after the last success or the end of a lock."""
    return max(now - FAILURE_WINDOW, forgiven)


def next_clean_up(now: datetime) -> datetime:
    """The next of the times at which auth forgets what is over: the same for whoever asks until then."""
    since_the_last = timedelta(seconds=now.timestamp() % CLEAN_UP_EVERY.total_seconds())
    return now - since_the_last + CLEAN_UP_EVERY


@dataclass(frozen=True, slots=True)
class Scope:
    """What a token says its bearer may do, and where; `facilities` None is everywhere."""

    roles: frozenset[str]
    facilities: frozenset[UUID] | None


def signs_no_more(signs_from: datetime, following: Iterable[datetime], now: datetime) -> bool:
    """Whether a key that signs from some time on has been followed by one that signs, also by the slowest clock.

    following: from when the others sign.
    """
    return any(signs_from < other <= now - CLOCK_SKEW for other in following)


def refresh_token_expires(began_at: datetime, now: datetime) -> datetime:
    """When a refresh token given now expires: never after its session does."""
    return min(now + REFRESH_TOKEN_LIFETIME, began_at + SESSION_LIFETIME)


def scope_of(grants: Iterable[Grant], facility_id: UUID | None) -> Scope:
    """The roles held at each facility of the token: at the one chosen, else everywhere, else at all that there are.

    Raises UserHasNoRoleThere.
    """
    grants = list(grants)
    everywhere = frozenset(grant.role for grant in grants if grant.facility_id is None)
    facilities = frozenset(grant.facility_id for grant in grants if grant.facility_id is not None)
    if facility_id is not None:
        here = everywhere | _roles_at(grants, facility_id)
        if not here:
            raise UserHasNoRoleThere(facility_id=facility_id)
        return Scope(here, frozenset({facility_id}))
    if everywhere:
        return Scope(everywhere, None)
    roles = [_roles_at(grants, each) for each in facilities]
    return Scope(frozenset.intersection(*roles) if roles else frozenset(), facilities)


def _roles_at(grants: Iterable[Grant], facility_id: UUID) -> frozenset[str]:
    return frozenset(grant.role for grant in grants if grant.facility_id == facility_id)


def check_may_grant(grant: Grant, permissions: Iterable[str], facilities: frozenset[UUID] | None) -> None:
    """Whether who has these permissions at these facilities may give or take this. Raises RoleMayNotBeGranted."""
    permissions = frozenset(permissions)
    is_over_people = grant.role == ADMINISTRATOR or grant == PRIVACY_OFFICER_EVERYWHERE
    needed = "administrators.appoint" if is_over_people else "roles.assign"
    is_there = facilities is None or (grant.facility_id in facilities and grant.role != ADMINISTRATOR)
    if needed not in permissions or not is_there:
        raise RoleMayNotBeGranted(role=grant.role)


def check_may_offer(grant: Grant, permissions: Iterable[str], facilities: frozenset[UUID] | None) -> None:
    """As `check_may_grant`, at the one facility that the role is offered at: an administrator's is never on offer."""
    there = frozenset({grant.facility_id} if grant.facility_id is not None else ())
    check_may_grant(grant, permissions, there if facilities is None else there & facilities)


def is_overtaken(
    before: Iterable[Grant], after: Iterable[Grant], facility_id: UUID | None, *, chosen_at: datetime | None, now: datetime
) -> bool:
    """Whether a session ends when its user's roles change: a token of it would say something else, or an earlier one might.

    Who works elsewhere, and chose that facility, is not disturbed. facility_id: the one that the session is at, since
    `chosen_at`; until the last token from before has expired, that one counts too.
    """
    has_earlier = chosen_at is not None and now < chosen_at + ACCESS_TOKEN_LIFETIME + CLOCK_SKEW
    return has_earlier or _scope_if_any(before, facility_id) != _scope_if_any(after, facility_id)


def _scope_if_any(grants: Iterable[Grant], facility_id: UUID | None) -> Scope | None:
    try:
        return scope_of(grants, facility_id)
    except UserHasNoRoleThere:
        return None


class Entry(Protocol):
    """What of an audit entry is sealed."""

    position: int
    at: datetime
    action: str
    actor: str
    user_id: UUID | None
    facts: dict[str, str]
    previous_hash: bytes
    hash: bytes


FIRST_HASH = bytes(32)
"""What the first entry follows."""


def seal_of(entry: Entry) -> bytes:
    """SHA-256 over the entry and the seal before it: whoever changes one has to change all that follow."""
    said = [entry.position, entry.at.timestamp(), entry.action, entry.actor, str(entry.user_id), entry.facts]
    return hashlib.sha256(entry.previous_hash + json.dumps(said, sort_keys=True).encode()).digest()


def first_broken(entries: Iterable[Entry], *, after: int = 0, seal: bytes = FIRST_HASH) -> int | None:
    """The position of the first entry that is missing or not as it was written; None when the chain is whole.

    entries: in order, from the one that follows position `after`, whose seal is `seal`.
    """
    for expected, entry in enumerate(entries, start=after + 1):
        if entry.position != expected or entry.previous_hash != seal or entry.hash != seal_of(entry):
            return expected
        seal = entry.hash
    return None
