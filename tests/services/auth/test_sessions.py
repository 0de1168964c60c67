"""Sessions: kept alive by refresh tokens that are good once, and ended everywhere."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import UUID, uuid4

from broker import clock
from contracts.auth import SessionRevoked
from services.auth import commands, rules
from services.auth.tables import Session
from tests.services.auth.given import ELSEWHERE, HERE, PASSWORD, Desk


async def test_a_refresh_token_is_good_once(desk: Desk) -> None:
    """Each use gives new tokens of the same session; the new ones count."""
    signed = await desk.signs_in(await desk.person(("nurse", HERE)))
    refreshed = (await desk.refreshes(signed)).json()
    assert refreshed["session_id"] == signed["session_id"]
    assert refreshed["refresh_token"] != signed["refresh_token"]
    assert not await desk.is_refused(refreshed)
    assert not await desk.is_refused(signed), "until it expires"


async def test_reuse_revokes_the_whole_family(desk: Desk) -> None:
    """A refresh token that comes a second time is in two hands: from then on neither gets in."""
    person = await desk.person()
    signed, other = await desk.signs_in(person), await desk.signs_in(person)
    refreshed = (await desk.refreshes(signed)).json()
    assert (await desk.refreshes(signed)).json()["type"] == "urn:nilecare:rule:SessionIsOver"
    assert (await desk.refreshes(refreshed)).status_code == 401
    assert await desk.is_refused(refreshed)
    [revoked] = await desk.at.published(SessionRevoked)
    assert (str(revoked.session_id), revoked.reason) == (signed["session_id"], "refresh_token_reused")
    assert (await desk.refreshes(other)).status_code == 200, "another sign-in is another family"


async def test_two_uses_at_once(desk: Desk) -> None:
    """Of two uses of one refresh token at the same moment one is the second: the family is revoked."""
    signed = await desk.signs_in(await desk.person())
    replies = await asyncio.gather(desk.refreshes(signed), desk.refreshes(signed))
    assert sorted(reply.status_code for reply in replies) == [200, 401]
    assert await desk.is_refused(signed)


async def test_a_refresh_token_expires(desk: Desk) -> None:
    """Who does not come back for its lifetime signs in again; who does, does not."""
    person = await desk.person()
    first, second = await desk.signs_in(person), await desk.signs_in(person)
    clock.shift = rules.REFRESH_TOKEN_LIFETIME - timedelta(minutes=1)
    refreshed = (await desk.refreshes(first)).json()
    clock.shift = rules.REFRESH_TOKEN_LIFETIME + timedelta(minutes=1)
    assert (await desk.refreshes(second)).status_code == 401
    assert (await desk.refreshes(refreshed)).status_code == 200
    assert (await desk.client.post("/refresh", json={"refresh_token": "made up"})).status_code == 401


async def test_a_session_ends_however_much_it_is_used(desk: Desk) -> None:
    """A month after the sign-in one signs in again."""
    signed = await desk.signs_in(await desk.person())
    for _ in range(4):
        clock.shift += rules.REFRESH_TOKEN_LIFETIME - timedelta(minutes=1)
        signed = (await desk.refreshes(signed)).json()
    clock.shift = rules.SESSION_LIFETIME - timedelta(minutes=1)
    signed = (await desk.refreshes(signed)).json()
    clock.shift = rules.SESSION_LIFETIME + timedelta(minutes=1)
    assert (await desk.refreshes(signed)).status_code == 401


async def test_a_use_and_a_revocation_at_once(desk: Desk) -> None:
    """Whoever revokes a session while a token of it is used waits for nothing that the use holds: neither is aborted."""
    person = await desk.person()
    signed = await desk.signs_in(person)
    async with desk.at.transaction() as session:
        await Session.locked(session, UUID(signed["session_id"]))
        use = asyncio.create_task(desk.refreshes(signed))
        await desk.at.somebody_waits()
        await commands.revoke_sessions(session, person.user_id, "by_administrator", by="tester")
    assert (await use).status_code == 401
    assert await desk.is_refused(signed)


async def test_one_chooses_a_facility(desk: Desk) -> None:
    """At sign-in or later; the session stays there, and where the user has no role there is no token for."""
    person = await desk.person(("nurse", HERE), ("facility_manager", ELSEWHERE))
    signed = await desk.signs_in(person)
    assert signed["roles"] == []
    chosen = (await desk.refreshes(signed, facility_id=str(ELSEWHERE))).json()
    assert (chosen["roles"], chosen["facilities"]) == (["facility_manager"], [str(ELSEWHERE)])
    stayed = (await desk.refreshes(chosen)).json()
    assert stayed["facilities"] == [str(ELSEWHERE)]
    refused = await desk.tries(person, facility_id=str(uuid4()))
    assert (refused.status_code, refused.json()["type"]) == (403, "urn:nilecare:rule:UserHasNoRoleThere")


async def test_signing_out(desk: Desk) -> None:
    """Ends the session of the token, and no other; a token expires before its revocation is forgotten."""
    person = await desk.person()
    signed, other = await desk.signs_in(person), await desk.signs_in(person)
    assert (await desk.asks(signed, "POST", "/logout")).status_code == 204
    assert await desk.is_refused(signed)
    assert (await desk.refreshes(signed)).status_code == 401
    assert not await desk.is_refused(other)
    [revoked] = await desk.at.published(SessionRevoked)
    assert revoked.reason == "signed_out"
    assert revoked.expires_at - revoked.revoked_at > rules.ACCESS_TOKEN_LIFETIME


async def test_ones_own_sessions(desk: Desk) -> None:
    """A user sees and ends their own; another's does not exist for them."""
    person, other = await desk.person(), await desk.person()
    first, second, theirs = [await desk.signs_in(each) for each in (person, person, other)]
    listed = (await desk.asks(first, "GET", "/sessions")).json()["items"]
    assert {each["session_id"] for each in listed} == {first["session_id"], second["session_id"]}
    assert (await desk.asks(first, "DELETE", f"/sessions/{theirs['session_id']}")).status_code == 404
    assert (await desk.asks(first, "DELETE", f"/sessions/{second['session_id']}")).status_code == 204
    assert [await desk.is_refused(each) for each in (first, second, theirs)] == [False, True, False]


async def test_a_new_password_ends_all_sessions(desk: Desk) -> None:
    """And needs the present one."""
    person, new = await desk.person(), "a new and longer password"
    signed, other = await desk.signs_in(person), await desk.signs_in(person)
    wrong = {"present_password": "not the password", "new_password": new}
    refused = await desk.asks(signed, "PUT", "/password", wrong)
    assert (refused.status_code, refused.json()["type"]) == (403, "urn:nilecare:rule:PasswordIsWrong")
    right = {"present_password": PASSWORD, "new_password": new}
    assert (await desk.asks(signed, "PUT", "/password", right)).status_code == 204
    assert [await desk.is_refused(each) for each in (signed, other)] == [True, True]
    assert (await desk.tries(person)).status_code == 401
    assert (await desk.tries(person, new)).status_code == 200
