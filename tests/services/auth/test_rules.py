"""What auth decides without asking anybody."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import get_args
from uuid import UUID, uuid4

import pyotp
import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc.errors import JoseError

from contracts.auth import Grant, UserStatus
from services.auth import passwords, rules, totp
from services.auth.errors import RoleMayNotBeGranted, SessionCannotBecome, UserHasNoRoleThere
from services.auth.vault import Vault

HERE, ELSEWHERE = uuid4(), uuid4()
NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)

GRANTS = st.lists(
    st.builds(
        Grant, role=st.sampled_from(["nurse", "registrar", "cashier"]), facility_id=st.sampled_from([None, HERE, ELSEWHERE])
    ),
    max_size=6,
)


def test_every_state_of_a_user_has_its_moves() -> None:
    """No state is missing, and nothing follows on an erasure."""
    assert set(rules.USER.moves) == set(get_args(UserStatus))
    assert [state for state in rules.USER.moves if rules.USER.is_last(state)] == ["deleted"]


def test_a_suspension_proves_nothing() -> None:
    """Who is reinstated has proven an address only if they had before."""
    assert [rules.reinstated_as(is_proven=each) for each in (True, False)] == ["active", "pending"]


def test_what_is_over_does_not_begin_again() -> None:
    """A session that was revoked stays so, and a refresh token that was used is used."""
    with pytest.raises(SessionCannotBecome):
        rules.SESSION.moved("revoked", "active")
    assert [state for state in rules.REFRESH_TOKEN.moves if rules.REFRESH_TOKEN.is_last(state)] == ["rotated", "revoked"]


@given(grants=GRANTS, chosen=st.sampled_from([None, HERE, ELSEWHERE]))
def test_a_token_says_no_more_than_its_user_may(grants: list[Grant], chosen: UUID | None) -> None:
    """Whoever has whatever roles wherever: a role in the token is held at each facility in the token."""
    try:
        scope = rules.scope_of(grants, chosen)
    except UserHasNoRoleThere:
        assert not any(grant.facility_id in (None, chosen) for grant in grants)
        return
    held = {(grant.role, grant.facility_id) for grant in grants}
    for role in scope.roles:
        for facility_id in scope.facilities if scope.facilities is not None else [None]:
            assert {(role, facility_id), (role, None)} & held


def test_one_chooses_where_one_works() -> None:
    """With different roles at different facilities a token has those in common, or all of the facility that is chosen."""
    grants = [Grant(role="nurse", facility_id=HERE), Grant(role="nurse", facility_id=ELSEWHERE)]
    grants += [Grant(role="facility_manager", facility_id=ELSEWHERE)]
    assert rules.scope_of(grants, None) == rules.Scope(frozenset({"nurse"}), frozenset({HERE, ELSEWHERE}))
    assert rules.scope_of(grants, ELSEWHERE) == rules.Scope(frozenset({"nurse", "facility_manager"}), frozenset({ELSEWHERE}))
    with pytest.raises(UserHasNoRoleThere):
        rules.scope_of(grants, uuid4())


@pytest.mark.parametrize(
    ("role", "at", "permissions", "facilities", "may"),
    [
        ("nurse", HERE, {"roles.assign"}, {HERE}, True),
        ("nurse", ELSEWHERE, {"roles.assign"}, {HERE}, False),
        ("nurse", None, {"roles.assign"}, {HERE}, False),
        ("nurse", None, {"roles.assign"}, None, True),
        ("nurse", HERE, set(), None, False),
        ("administrator", HERE, {"roles.assign"}, None, False),
        ("administrator", HERE, {"roles.assign", "administrators.appoint"}, {HERE}, False),
        ("administrator", None, {"administrators.appoint"}, None, True),
        ("privacy_officer", None, {"roles.assign"}, None, False),
        ("privacy_officer", None, {"roles.assign", "administrators.appoint"}, None, True),
        ("privacy_officer", HERE, {"roles.assign"}, {HERE}, True),
    ],
)
def test_who_may_grant(role: str, at: UUID | None, permissions: set[str], facilities: set[UUID] | None, may: bool) -> None:
    """A role is granted by who may do that at that facility; who is over everybody only by who may appoint administrators."""
    where = None if facilities is None else frozenset(facilities)
    try:
        rules.check_may_grant(Grant(role=role, facility_id=at), permissions, where)
        granted = True
    except RoleMayNotBeGranted:
        granted = False
    assert granted is may


@pytest.mark.parametrize(
    ("role", "facilities", "may"),
    [("nurse", {HERE}, True), ("nurse", None, True), ("nurse", {ELSEWHERE}, False), ("administrator", None, False)],
)
def test_who_may_offer(role: str, facilities: set[UUID] | None, may: bool) -> None:
    """Who may grant a role at that facility may offer it; an administrator's is on offer to nobody."""
    permissions = {"roles.assign", "administrators.appoint"}
    where = None if facilities is None else frozenset(facilities)
    try:
        rules.check_may_offer(Grant(role=role, facility_id=HERE), permissions, where)
        offered = True
    except RoleMayNotBeGranted:
        offered = False
    assert offered is may


@given(before=GRANTS, after=GRANTS, at=st.sampled_from([None, HERE, ELSEWHERE]))
def test_no_token_says_what_is_no_longer_so(before: list[Grant], after: list[Grant], at: UUID | None) -> None:
    """Whatever roles change wherever: a session that goes on would get the tokens that it has."""
    if rules.is_overtaken(before, after, at, chosen_at=None, now=NOW):
        return
    try:
        scope = rules.scope_of(before, at)
    except UserHasNoRoleThere:
        with pytest.raises(UserHasNoRoleThere):
            rules.scope_of(after, at)
    else:
        assert rules.scope_of(after, at) == scope


def test_a_change_here_concerns_nobody_elsewhere() -> None:
    """A session at another facility goes on, unless a token counts still that it had before it was there."""
    before = [Grant(role="nurse", facility_id=HERE), Grant(role="nurse", facility_id=ELSEWHERE)]
    after, expire = before[1:], rules.ACCESS_TOKEN_LIFETIME + rules.CLOCK_SKEW
    cases = [(ELSEWHERE, None), (ELSEWHERE, NOW - expire), (ELSEWHERE, NOW), (HERE, None), (None, None)]
    ends = [rules.is_overtaken(before, after, at, chosen_at=chosen, now=NOW) for at, chosen in cases]
    assert ends == [False, False, True, True, True]


@pytest.mark.parametrize(
    ("status", "is_right", "is_address_locked", "is_guessed_at", "because"),
    [
        (None, False, False, False, "unknown"),
        ("active", False, False, False, "wrong_password"),
        ("active", True, False, False, None),
        ("active", True, True, False, "locked"),
        ("active", True, False, True, "locked"),
        ("locked", True, False, False, "locked"),
        ("pending", True, False, False, "not_active"),
        ("pending", False, False, False, "wrong_password"),
        ("suspended", True, False, False, "not_active"),
        ("deleted", True, False, False, "not_active"),
    ],
)
def test_why_somebody_does_not_get_in(
    status: UserStatus | None, is_right: bool, is_address_locked: bool, is_guessed_at: bool, because: str | None
) -> None:
    """Only an active account with the right password, that nobody guesses at, from an address that did not, gets in."""
    refused = rules.refused_because(
        status,
        is_password_right=is_right,
        is_address_locked=is_address_locked,
        is_guessed_at=is_guessed_at,
        is_familiar=False,
    )
    assert refused == because


@pytest.mark.parametrize("status", ["locked", "active"])
@pytest.mark.parametrize(
    ("is_right", "is_address_locked", "because"),
    [(True, False, None), (False, False, "wrong_password"), (True, True, "locked")],
)
def test_a_lock_does_not_count_where_one_signs_in(
    status: UserStatus, is_right: bool, is_address_locked: bool, because: str | None
) -> None:
    """There the password decides, as ever, unless the address is locked out itself; nor do others' guesses."""
    refused = rules.refused_because(
        status, is_password_right=is_right, is_address_locked=is_address_locked, is_guessed_at=True, is_familiar=True
    )
    assert refused == because


def test_what_is_familiar() -> None:
    """A place that somebody has signed in from, and does not guess from."""
    most = rules.FAILURES_PER_ACCOUNT
    assert [rules.is_familiar(*each) for each in ((0, 0), (1, 0), (1, most - 1), (1, most))] == [False, True, True, False]


def test_clean_ups_are_a_day_apart() -> None:
    """Whoever asks within a day gets the same time."""
    first = rules.next_clean_up(NOW)
    assert NOW < first <= NOW + rules.CLEAN_UP_EVERY
    assert rules.next_clean_up(first - timedelta(seconds=1)) == first
    assert rules.next_clean_up(first) == first + rules.CLEAN_UP_EVERY


def test_a_key_signs_until_the_next_one_does() -> None:
    """Not until the slowest clock says so, and the newest signs in any case."""
    old, new = NOW - timedelta(days=1), NOW - rules.CLOCK_SKEW
    assert rules.signs_no_more(old, [old, new], NOW)
    assert not rules.signs_no_more(old, [old, new], NOW - timedelta(seconds=1))
    assert not rules.signs_no_more(new, [old, new], NOW)


def test_failures_are_forgiven_in_time() -> None:
    """Those before the window do not count, nor those before the last success."""
    assert rules.failures_count_since(NOW, NOW - timedelta(days=1)) == NOW - rules.FAILURE_WINDOW
    assert rules.failures_count_since(NOW, NOW - timedelta(minutes=1)) == NOW - timedelta(minutes=1)


def test_a_code_is_good_once_and_not_for_long() -> None:
    """A code counts in its step and the one beside it, and never again once it, or a later one, was taken (RFC 6238, 5.2)."""
    secret = totp.new_secret()
    step = int(NOW.timestamp()) // totp.STEP
    code, before = pyotp.TOTP(secret).at(NOW), pyotp.TOTP(secret).at(NOW - timedelta(seconds=totp.STEP))
    assert totp.step_of(code, secret, NOW, after=0) == step
    assert totp.step_of(code, secret, NOW + timedelta(seconds=totp.STEP), after=0) == step
    assert totp.step_of(code, secret, NOW + timedelta(seconds=2 * totp.STEP), after=0) is None
    assert totp.step_of(code, secret, NOW, after=step) is None
    assert totp.step_of(before, secret, NOW, after=step) is None


async def test_passwords() -> None:
    """A password is known again however its characters are composed; nobody's hash is as costly as anybody's."""
    kept = await passwords.hashed("pa\u00df und caf\u00e9 im Sommer")
    assert kept.startswith("$argon2id$")
    assert await passwords.is_right("pa\u00df und cafe\u0301 im Sommer", kept)
    assert not await passwords.is_right("another", kept)
    assert not await passwords.is_right("another", None)
    assert passwords.nobodys_hash().split("$")[1:4] == kept.split("$")[1:4]
    assert not passwords.is_outdated(kept)
    assert passwords.is_outdated("$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$" + kept.rpartition("$")[2])


def test_the_vault() -> None:
    """What is sealed is read again with the same secret, and with no other."""
    sealed = Vault("one").seal("a key")
    assert "a key" not in sealed
    assert Vault("one").open(sealed) == "a key"
    with pytest.raises(JoseError):
        Vault("another").open(sealed)


@dataclass
class Written:
    """An entry of an audit log."""

    position: int
    action: str
    previous_hash: bytes
    at: datetime = NOW
    actor: str = "auth"
    user_id: UUID | None = HERE
    facts: dict[str, str] = field(default_factory=dict)
    hash: bytes = b""


def chain(length: int) -> list[Written]:
    entries: list[Written] = []
    for position in range(1, length + 1):
        entry = Written(position, f"action {position}", entries[-1].hash if entries else rules.FIRST_HASH)
        entries.append(replace(entry, hash=rules.seal_of(entry)))
    return entries


@given(length=st.integers(1, 8), data=st.data())
def test_the_first_broken_link_is_named(length: int, data: st.DataObject) -> None:
    """Whatever is changed in the chain or taken out of it, the first place that is not as it was written is named."""
    entries = chain(length)
    assert rules.first_broken(entries) is None
    place = data.draw(st.integers(0, length - 1))
    changes = data.draw(
        st.sampled_from([{"action": "x"}, {"actor": "x"}, {"user_id": None}, {"facts": {"a": "b"}}, {"at": NOW + timedelta(1)}])
    )
    forged = [*entries]
    forged[place] = replace(forged[place], **changes)  # type: ignore[arg-type]
    assert rules.first_broken(forged) == place + 1
    forged[place] = replace(forged[place], hash=rules.seal_of(forged[place]))
    assert rules.first_broken(forged) == (place + 2 if place < length - 1 else None)
    if place < length - 1:
        assert rules.first_broken(entries[:place] + entries[place + 1 :]) == place + 1
