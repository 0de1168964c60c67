"""Signing in, and what keeps others from guessing."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pyotp
import pytest
from argon2 import PasswordHasher

from broker import clock
from contracts.auth import AuthLoginFailed, AuthLoginSucceeded, AuthUserLocked, UserChanged
from services.auth import commands, passwords, rules
from services.auth.tables import User
from tests.services.auth.given import HERE, PASSWORD, Desk, Person

WRONG = "not the password at all"


async def test_who_signs_in_gets_tokens(desk: Desk) -> None:
    """The reply has an access token for ten minutes and a refresh token, and says what they are good for."""
    person = await desk.person(("nurse", HERE))
    signed = await desk.signs_in(person, device="ward tablet")
    assert (signed["token_type"], signed["expires_in"]) == ("Bearer", 600)
    assert (signed["roles"], signed["facilities"]) == (["nurse"], [str(HERE)])
    assert signed["user_id"] == str(person.user_id)
    [succeeded] = await desk.at.published(AuthLoginSucceeded)
    assert str(succeeded.session_id) == signed["session_id"]
    assert await desk.rows("SELECT name FROM auth_devices") == [("ward tablet",)]
    assert signed["refresh_token"] not in str(await desk.rows("SELECT * FROM auth_refresh_tokens"))


async def test_every_failure_looks_the_same(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unknown, wrong, not proven, suspended or locked: the reply is the same, and so is the work; only others hear why."""
    active, locked, suspended = [await desk.person() for _ in range(3)]
    await desk.registers("pending@example.org")
    async with desk.at.transaction() as session:
        for person, status in ((locked, "locked"), (suspended, "suspended")):
            user = await User.locked(session, person.user_id)
            user.move(status)  # type: ignore[arg-type]
    hashes: list[str] = []
    verified = passwords._verified

    def counted(password: str, kept: str) -> bool:
        hashes.append(kept)
        return verified(password, kept)

    monkeypatch.setattr(passwords, "_verified", counted)
    tried = [
        await desk.tries("nobody@example.org"),
        await desk.tries(active, WRONG),
        await desk.tries("pending@example.org"),
        await desk.tries(suspended),
        await desk.tries(locked),
        await desk.tries(locked, WRONG),
    ]
    assert {(reply.status_code, reply.text) for reply in tried} == {(401, tried[0].text)}
    assert {len(reply.headers) for reply in tried} == {len(tried[0].headers)}
    assert len(hashes) == len(tried)
    assert len({kept.rpartition("$")[0].rpartition("$")[0] for kept in hashes}) == 1, "the same parameters, so the same work"
    failed = await desk.at.published(AuthLoginFailed)
    assert [each.reason for each in failed] == ["unknown", "wrong_password", "wrong_password", "not_active", "locked", "locked"]
    assert failed[0].user_id is None


async def test_every_failure_is_the_same_work(desk: Desk) -> None:
    """Whoever is named, the database is asked the same questions and told as much: the time that it takes tells nothing."""
    active, locked, suspended = [await desk.person(("nurse", HERE)) for _ in range(3)]
    await desk.registers("pending@example.org")
    async with desk.at.transaction() as session:
        for person, status in ((locked, "locked"), (suspended, "suspended")):
            (await User.locked(session, person.user_id)).move(status)  # type: ignore[arg-type]
    await fail(desk, active, rules.FAILURES_PER_ACCOUNT - 2)
    tried = [("nobody@example.org", PASSWORD), ("pending@example.org", PASSWORD)]
    tried += [(suspended.email, PASSWORD), (locked.email, PASSWORD), (locked.email, WRONG)]
    # The last two are the one that locks and the one after it.
    tried += [(active.email, WRONG)] * 3
    work = []
    for email, password in tried:
        with desk.statements() as said:
            await desk.client.post("/login", json={"email": email, "password": password})
        work.append(said)
    assert [each == work[0] for each in work] == [True] * len(work)
    await desk.hear()
    assert (await desk.user(active)).status == "locked"


async def test_an_account_that_is_guessed_at_is_closed_at_once(desk: Desk) -> None:
    """Before auth has heard of the failures that lock it, nobody gets in, but from where its user signs in."""
    person = await desk.person()
    async with desk.elsewhere("203.0.113.7") as home:
        await home.signs_in(person)
        right, wrong = [{"email": person.email, "password": password} for password in (PASSWORD, WRONG)]
        for _ in range(rules.FAILURES_PER_ACCOUNT):
            await desk.client.post("/login", json=wrong)
        assert (await desk.user(person)).status == "active"
        assert (await desk.client.post("/login", json=right)).status_code == 401
        assert (await home.client.post("/login", json=right)).status_code == 200


async def test_guesses_before_an_address_is_proven_are_forgiven(desk: Desk) -> None:
    """Whoever proves it gets in."""
    await desk.registers("pending@example.org")
    await fail(desk, "pending@example.org", rules.FAILURES_PER_ACCOUNT)
    await desk.client.post("/verify", json={"code": (await desk.codes())[0]})
    assert (await desk.tries("pending@example.org")).status_code == 200


async def fail(desk: Desk, person: Person | str, times: int) -> None:
    for _ in range(times):
        assert (await desk.tries(person, WRONG)).status_code == 401


async def test_too_many_failures_lock_an_account(desk: Desk) -> None:
    """After the fifth nobody gets in, not with the right password either, until the clock has lifted the lock."""
    person = await desk.person()
    await fail(desk, person, rules.FAILURES_PER_ACCOUNT)
    assert (await desk.user(person)).status == "locked"
    [locked] = await desk.at.published(AuthUserLocked)
    assert (await desk.tries(person)).status_code == 401
    clock.shift = rules.LOCK_LASTS - timedelta(seconds=30)
    await desk.tell_time()
    assert (await desk.tries(person)).status_code == 401
    clock.shift = rules.LOCK_LASTS + timedelta(seconds=1)
    await desk.tell_time()
    assert (await desk.tries(person)).status_code == 200
    assert locked.locked_until < clock.now()
    states = [state.status for state in await desk.at.published(UserChanged) if state.user_id == person.user_id]
    assert [state for before, state in zip(["", *states], states, strict=False) if state != before] == [
        "pending", "active", "locked", "active",
    ]  # fmt: skip


async def test_failures_that_do_not_lock(desk: Desk) -> None:
    """Failures before a success, or longer ago than the window, are forgiven."""
    person = await desk.person()
    for _ in range(2):
        await fail(desk, person, rules.FAILURES_PER_ACCOUNT - 1)
        await desk.signs_in(person)
    await fail(desk, person, rules.FAILURES_PER_ACCOUNT - 1)
    clock.shift = rules.FAILURE_WINDOW + timedelta(seconds=1)
    await fail(desk, person, 1)
    assert (await desk.user(person)).status == "active"


async def test_an_old_lock_does_not_lift_a_new_one(desk: Desk) -> None:
    """What was scheduled for a lock that an administrator ended lifts none that came after."""
    person, administrator = await desk.person(), await desk.person(("administrator", None))
    await fail(desk, person, rules.FAILURES_PER_ACCOUNT)
    signed = await desk.signs_in(administrator)
    assert (await desk.asks(signed, "DELETE", f"/users/{person.user_id}/lock")).json()["status"] == "active"
    clock.shift = rules.LOCK_LASTS / 2
    await fail(desk, person, rules.FAILURES_PER_ACCOUNT)
    clock.shift = rules.LOCK_LASTS + timedelta(seconds=1)
    await desk.tell_time()
    assert (await desk.user(person)).status == "locked"


async def test_too_many_failures_lock_an_address_out(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who guesses through many accounts from one place is not let in from there, until the window has passed."""
    monkeypatch.setattr(rules, "FAILURES_PER_ADDRESS", 3)
    person = await desk.person()
    for number in range(3):
        await fail(desk, f"guess{number}@example.org", 1)
    refused = await desk.tries(person)
    assert refused.status_code == 401
    assert (await desk.at.published(AuthLoginFailed))[-1].reason == "locked"
    assert (await desk.user(person)).status == "active"
    headers = {"X-Forwarded-For": "203.0.113.7"}
    pretended = await desk.client.post("/login", json={"email": person.email, "password": "x"}, headers=headers)
    assert pretended.status_code == 401
    assert {row.address for row in await desk.rows("SELECT address FROM auth_login_attempts")} == {"127.0.0.1"}
    clock.shift = rules.FAILURE_WINDOW + timedelta(seconds=1)
    assert (await desk.tries(person)).status_code == 200


async def test_guesses_from_elsewhere_keep_nobody_out(desk: Desk) -> None:
    """Where a user has signed in lately, a lock that others brought about does not count; their own guesses still do."""
    person = await desk.person()
    await desk.signs_in(person)
    async with desk.elsewhere("203.0.113.7") as mallory:
        for _ in range(rules.FAILURES_PER_ACCOUNT):
            await mallory.tries(person, WRONG)
        assert (await desk.user(person)).status == "locked"
        assert (await mallory.tries(person)).status_code == 401
        await desk.signs_in(person)
        assert (await desk.user(person)).status == "locked"
        await fail(desk, person, rules.FAILURES_PER_ACCOUNT)
        assert (await desk.tries(person)).status_code == 401


async def test_a_place_becomes_unfamiliar(desk: Desk) -> None:
    """Who has not signed in from there for long is locked out there too."""
    person = await desk.person()
    await desk.signs_in(person)
    clock.shift = rules.FAMILIAR_FOR
    async with desk.elsewhere("203.0.113.7") as mallory:
        for _ in range(rules.FAILURES_PER_ACCOUNT):
            await mallory.tries(person, WRONG)
    assert (await desk.tries(person)).status_code == 401


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "/password", {"present_password": WRONG, "new_password": "a new and longer password"}),
        ("POST", "/mfa", {"password": WRONG}),
        ("POST", "/mfa/removal", {"password": WRONG}),
    ],
)
async def test_a_stolen_token_is_no_way_to_guess(desk: Desk, method: str, path: str, body: dict[str, str]) -> None:
    """Wherever the present password is asked for, a wrong one counts like a failed sign-in."""
    person = await desk.person()
    signed = await desk.signs_in(person)
    for _ in range(rules.FAILURES_PER_ACCOUNT):
        assert (await desk.asks(signed, method, path, body)).status_code == 403
    assert (await desk.user(person)).status == "locked"
    right = {name: value.replace(WRONG, PASSWORD) for name, value in body.items()}
    assert (await desk.asks(signed, method, path, right)).status_code == 403


async def test_a_password_is_hashed_anew_when_parameters_change(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the next sign-in, which is the only time that the password is at hand."""
    person = await desk.person()
    before = (await desk.user(person)).password_hash
    await desk.signs_in(person)
    assert (await desk.user(person)).password_hash == before
    monkeypatch.setattr(passwords, "HASHER", PasswordHasher(time_cost=1, memory_cost=8 * 1024, parallelism=1))
    await desk.signs_in(person)
    after = (await desk.user(person)).password_hash or ""
    assert "m=8192,t=1" in after
    assert (await desk.tries(person)).status_code == 200


async def enrolled(desk: Desk, person: Person) -> tuple[pyotp.TOTP, list[str]]:
    """The app of somebody who uses one, and the recovery codes."""
    signed = await desk.signs_in(person)
    assert (await desk.asks(signed, "POST", "/mfa", {"password": WRONG})).status_code == 403
    begun = (await desk.asks(signed, "POST", "/mfa", {"password": PASSWORD})).json()
    app = pyotp.TOTP(begun["secret"])
    assert begun["secret"] in begun["address"]
    assert (await desk.asks(signed, "POST", "/mfa/confirmation", {"code": "000000x"})).status_code == 422
    assert (await desk.tries(person)).status_code == 200, "an app that was never confirmed locks nobody out"
    confirmed = await desk.asks(signed, "POST", "/mfa/confirmation", {"code": app.at(clock.now())})
    again = await desk.asks(signed, "POST", "/mfa", {"password": PASSWORD})
    assert again.json()["type"] == "urn:nilecare:rule:FactorIsEnrolledAlready"
    return app, confirmed.json()["codes"]


async def test_an_authenticator_app(desk: Desk) -> None:
    """With an app, a password alone is not enough, and a code is good once."""
    person = await desk.person()
    app, _ = await enrolled(desk, person)
    assert (await desk.tries(person)).json()["type"] == "urn:nilecare:rule:CodeIsNeeded"
    assert (await desk.tries(person, WRONG)).json()["type"] == "urn:nilecare:rule:SignInFailed"
    assert (await desk.tries(person, code=app.at(clock.now()))).status_code == 401, "it has confirmed the app"
    clock.shift += timedelta(seconds=60)
    code = app.at(clock.now())
    assert (await desk.tries(person, code=code)).status_code == 200
    assert (await desk.tries(person, code=code)).status_code == 401
    assert app.secret not in str(await desk.rows("SELECT * FROM mfa_factors"))
    assert (await desk.at.published(AuthLoginFailed))[-1].reason == "wrong_code"


async def test_guessing_codes_locks_too(desk: Desk) -> None:
    """A wrong code counts like a wrong password."""
    person = await desk.person()
    await enrolled(desk, person)
    for _ in range(rules.FAILURES_PER_ACCOUNT):
        await desk.tries(person, code="made up")
    assert (await desk.user(person)).status == "locked"


async def test_recovery_codes(desk: Desk) -> None:
    """Each replaces the app once; only hashes are kept."""
    person = await desk.person()
    _, codes = await enrolled(desk, person)
    assert len(set(codes)) == rules.RECOVERY_CODES
    assert (await desk.tries(person, code=codes[0])).status_code == 200
    assert (await desk.tries(person, code=codes[0])).status_code == 401
    assert (await desk.tries(person, code=codes[1])).status_code == 200
    kept: list[Any] = await desk.rows("SELECT encode(code_hash, 'hex') FROM mfa_recovery_codes")
    assert len(kept) == rules.RECOVERY_CODES - 2
    assert not any(code in str(kept) for code in codes)


async def test_an_app_is_removed_by_its_owner(desk: Desk) -> None:
    """Who knows the password and has a code can do without the app again."""
    person = await desk.person()
    _, codes = await enrolled(desk, person)
    signed = await desk.signs_in(person, code=codes[0])
    shown = {"password": WRONG, "code": codes[1]}
    assert (await desk.asks(signed, "POST", "/mfa/removal", shown)).status_code == 403
    assert (await desk.asks(signed, "POST", "/mfa/removal", shown | {"password": PASSWORD})).status_code == 204
    assert (await desk.tries(person)).status_code == 200


STEPPED_UP = [
    ("POST", "/mfa/removal", {"password": PASSWORD}),
    ("PUT", "/password", {"present_password": PASSWORD, "new_password": "a new and longer password"}),
]


@pytest.mark.parametrize(("method", "path", "body"), STEPPED_UP)
async def test_a_password_alone_changes_nothing_of_who_uses_an_app(
    desk: Desk, method: str, path: str, body: dict[str, str]
) -> None:
    """Neither the app goes nor another password counts, without a code that was not used; a recovery code will do."""
    person = await desk.person()
    app, codes = await enrolled(desk, person)
    signed = await desk.signs_in(person, code=codes[0])
    asked = [body, body | {"code": app.at(clock.now())}, body | {"code": codes[0]}]
    replies = [await desk.asks(signed, method, path, each) for each in asked]
    assert [reply.json()["type"].removeprefix("urn:nilecare:rule:") for reply in replies] == [
        "CodeIsNeeded", "CodeIsNotValid", "CodeIsNotValid",
    ]  # fmt: skip
    assert (await desk.tries(person, code=codes[1])).status_code == 200
    assert (await desk.asks(signed, method, path, body | {"code": codes[2]})).status_code == 204


@pytest.mark.parametrize(("method", "path", "body"), STEPPED_UP)
async def test_a_stolen_token_is_no_way_to_guess_codes(desk: Desk, method: str, path: str, body: dict[str, str]) -> None:
    """A wrong code counts there like one at a sign-in: too many lock the account, and then the right one does not help."""
    person = await desk.person()
    _, codes = await enrolled(desk, person)
    signed = await desk.signs_in(person, code=codes[0])
    for _ in range(rules.FAILURES_PER_ACCOUNT):
        assert (await desk.asks(signed, method, path, body | {"code": "made up"})).status_code == 422
    assert (await desk.user(person)).status == "locked"
    assert (await desk.asks(signed, method, path, body | {"code": codes[1]})).status_code == 403


async def test_an_app_that_counts_is_not_replaced(desk: Desk) -> None:
    """Whoever enrols another app while a code confirms the first waits, and is then refused."""
    person = await desk.person()
    signed = await desk.signs_in(person)
    app = pyotp.TOTP((await desk.asks(signed, "POST", "/mfa", {"password": PASSWORD})).json()["secret"])
    async with desk.at.transaction() as session:
        await commands.confirm_factor(session, person.user_id, app.at(clock.now()), desk.vault)
        await session.flush()
        enrolment = asyncio.create_task(desk.asks(signed, "POST", "/mfa", {"password": PASSWORD}))
        await desk.at.somebody_waits()
    assert (await enrolment).json()["type"] == "urn:nilecare:rule:FactorIsEnrolledAlready"
    assert (await desk.tries(person)).json()["type"] == "urn:nilecare:rule:CodeIsNeeded"


async def test_two_enrolments_at_once(desk: Desk) -> None:
    """One waits for the other and replaces its secret, of which no code counts then."""
    person = await desk.person()
    signed = await desk.signs_in(person)
    async with desk.at.transaction() as session:
        user = await User.locked(session, person.user_id)
        secret, _ = await commands.enrol_factor(session, user, desk.vault)
        await session.flush()
        enrolment = asyncio.create_task(desk.asks(signed, "POST", "/mfa", {"password": PASSWORD}))
        await desk.at.somebody_waits()
    apps = [pyotp.TOTP(each) for each in (secret, (await enrolment).json()["secret"])]
    shown = [await desk.asks(signed, "POST", "/mfa/confirmation", {"code": app.at(clock.now())}) for app in apps]
    assert [reply.status_code for reply in shown] == [422, 200]


async def test_an_app_is_removed_while_a_code_comes(desk: Desk) -> None:
    """Who removes an app waits for nothing that its first code holds: neither is aborted, and no recovery code is left."""
    person = await desk.person()
    signed = await desk.signs_in(person)
    app = pyotp.TOTP((await desk.asks(signed, "POST", "/mfa", {"password": PASSWORD})).json()["secret"])
    async with desk.at.transaction() as session:
        await User.locked(session, person.user_id)
        shown = {"code": app.at(clock.now())}
        confirmation = asyncio.create_task(desk.asks(signed, "POST", "/mfa/confirmation", shown))
        await desk.at.somebody_waits()
        await commands.remove_factor(session, person.user_id, by="tester")
    assert (await confirmation).status_code == 404
    assert await desk.rows("SELECT * FROM mfa_recovery_codes") == []
