"""Forgetting what no longer counts, here and everywhere."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select, text

from broker import clock
from broker._trust import RevokedSession as Copy
from contracts.auth import UserChanged, UserErased
from nilecare.demo.agreement import agreements
from services.auth import rules
from services.auth.app import service
from tests.services.auth.given import Desk

TABLES = ("auth_login_attempts", "auth_refresh_tokens", "auth_sessions", "auth_devices", "auth_revoked_sessions")


async def counts(desk: Desk) -> list[int]:
    """How many rows there are of what is made by signing in."""
    return [(await desk.rows(f"SELECT count(*) FROM {table}"))[0][0] for table in TABLES]


async def clean(desk: Desk, *, after: timedelta) -> None:
    """Some time passes, auth cleans up, and every service hears of it."""
    clock.shift += after
    for _ in range(3):
        await desk.tell_time()
    await desk.hear()


async def test_nothing_grows_for_ever(desk: Desk) -> None:
    """A month later nothing is left of a sign-in but the audit log."""
    person = await desk.person()
    signed, _ = await desk.signs_in(person, device="ward tablet"), await desk.signs_in(person)
    await desk.refreshes(signed)
    await desk.asks(signed, "POST", "/logout")
    assert await counts(desk) == [2, 3, 2, 1, 1]
    await clean(desk, after=rules.CLEAN_UP_EVERY)
    assert await counts(desk) == [2, 3, 2, 1, 0]
    await clean(desk, after=rules.REFRESH_TOKEN_LIFETIME)
    assert await counts(desk) == [2, 0, 0, 1, 0]
    await clean(desk, after=rules.FAMILIAR_FOR)
    assert await counts(desk) == [0, 0, 0, 0, 0]


async def test_a_session_in_use_stays(desk: Desk) -> None:
    """Of what is used only the tokens go that have expired."""
    signed = await desk.signs_in(await desk.person(), device="ward tablet")
    for _ in range(3):
        await clean(desk, after=rules.REFRESH_TOKEN_LIFETIME - timedelta(hours=1))
        signed = (await desk.refreshes(signed)).json()
    assert (await counts(desk))[1:] == [2, 1, 1, 0]
    assert (await desk.refreshes(signed)).status_code == 200


async def test_owner_and_copies_agree(desk: Desk) -> None:
    """What auth has forgotten of revoked sessions every service has too, at every moment; a token of them never counts."""
    signed = await desk.signs_in(await desk.person())
    await desk.asks(signed, "POST", "/logout")
    databases = {service: desk.at.database}
    assert (await agreements(databases))["auth.revoked_session"].rows == 1
    await clean(desk, after=rules.CLEAN_UP_EVERY)
    found = (await agreements(databases))["auth.revoked_session"]
    assert (found.rows, found.in_step) == (0, True)
    async with desk.at.transaction() as session:
        assert [each.deleted for each in await session.scalars(select(Copy))] == [True]
    assert await desk.is_refused(signed)


async def test_an_address_that_nobody_proves_is_forgotten(desk: Desk) -> None:
    """The account is erased, here and everywhere; one that is proven, or was begun lately, is not."""
    await desk.registers("stranger@example.org")
    person = await desk.person()
    await desk.signs_in(person)
    await clean(desk, after=rules.UNPROVEN_KEPT - timedelta(hours=1))
    assert await desk.at.published(UserErased) == []
    await desk.registers("late@example.org")
    await clean(desk, after=rules.CLEAN_UP_EVERY)
    [erased] = await desk.at.published(UserErased)
    assert await desk.rows("SELECT email FROM auth_users WHERE user_id = :id", id=erased.user_id) == [(None,)]
    assert {row.email for row in await desk.rows("SELECT email FROM auth_users")} == {None, person.email, "late@example.org"}


async def test_who_was_erased_before_is_forgotten_whole(desk: Desk) -> None:
    """What was not counted as personal then goes too, here and in every copy, once; of others it stays."""
    erased, other = await desk.person(), await desk.person()
    officer = await desk.signs_in(await desk.person(("privacy_officer", None)))
    assert (await desk.asks(officer, "DELETE", f"/users/{erased.user_id}")).status_code == 200
    kept = "UPDATE auth_users SET locale = 'ar-SD', time_zone = 'Africa/Khartoum' WHERE user_id = :id"
    async with desk.at.database.engine.begin() as connection:
        await connection.execute(text(kept), {"id": erased.user_id})
    for _ in range(2):
        await clean(desk, after=rules.CLEAN_UP_EVERY)
    where = "SELECT locale, time_zone FROM auth_users WHERE user_id = :id"
    assert await desk.rows(where, id=erased.user_id) == [("", "")]
    assert await desk.rows(where, id=other.user_id) != [("", "")]
    told = [each for each in await desk.at.published(UserChanged) if each.user_id == erased.user_id]
    assert (told[-1].locale, told[-1].time_zone) == ("", "")
    assert len(await desk.rows("SELECT user_id FROM auth_audit_logs WHERE action = 'erasure.finished'")) == 1


async def test_it_goes_on_until_nothing_is_left(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some at a time; where there was more, at once again, whoever signs in meanwhile."""
    monkeypatch.setattr(rules, "CLEANED_AT_ONCE", 2)
    person = await desk.person()
    for _ in range(5):
        await desk.signs_in(person)
    clock.shift = rules.FAMILIAR_FOR + rules.CLEAN_UP_EVERY
    left = []
    for _ in range(3):
        await desk.tell_time()
        await desk.signs_in(person)
        left.append((await counts(desk))[0])
    assert left == [4, 3, 3]
