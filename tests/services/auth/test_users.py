"""What administrators, facility managers and privacy officers do with other people's accounts."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from broker import clock
from contracts.auth import RoleAssigned, RoleWithdrawn, SessionRevoked, UserChanged, UserErased, UserSuspended
from contracts.event import personal_fields
from services.auth import commands, rules
from services.auth.errors import AdministratorExistsAlready
from tests.services.auth.given import ELSEWHERE, HERE, PASSWORD, Desk, Person

ADMINISTRATOR = ("administrator", None)


def rule(reply: Any) -> str:
    """The rule that a refusal names."""
    assert reply.status_code >= 400, reply.text
    return str(reply.json()["type"]).removeprefix("urn:nilecare:rule:")


@pytest.fixture
async def administrator(desk: Desk) -> dict[str, Any]:
    """Signed in; there is no other."""
    return await desk.signs_in(await desk.person(ADMINISTRATOR))


async def grant(desk: Desk, by: dict[str, Any], to: Person, role: str, at: object = None) -> Any:
    asked = {"role": role, "facility_id": str(at) if at else None}
    return await desk.asks(by, "POST", f"/users/{to.user_id}/roles", asked)


async def test_a_role_is_granted_and_withdrawn(desk: Desk, administrator: dict[str, Any]) -> None:
    """Others hear of it, the next token says so, and the tokens before it count no more."""
    person = await desk.person()
    before = await desk.signs_in(person)
    granted = await grant(desk, administrator, person, "nurse", HERE)
    assert granted.json()["grants"] == [{"role": "nurse", "facility_id": str(HERE)}]
    assert await desk.is_refused(before)
    after = await desk.signs_in(person)
    assert (after["roles"], after["facilities"]) == (["nurse"], [str(HERE)])
    assert rule(await grant(desk, administrator, person, "nurse", HERE)) == "RoleIsHeldAlready"
    withdrawn = await desk.asks(administrator, "DELETE", f"/users/{person.user_id}/roles/nurse?facility_id={HERE}")
    assert withdrawn.json()["grants"] == []
    assert await desk.is_refused(after)
    again = await desk.asks(administrator, "DELETE", f"/users/{person.user_id}/roles/nurse?facility_id={HERE}")
    assert rule(again) == "RoleNotFound"
    assert [len(await desk.at.published(each)) for each in (RoleAssigned, RoleWithdrawn)] == [2, 1]
    states = [each for each in await desk.at.published(UserChanged) if each.user_id == person.user_id]
    assert [len(state.grants) for state in states[-2:]] == [1, 0]
    assert {each.reason for each in await desk.at.published(SessionRevoked)} == {"role_changed"}


async def test_a_facility_manager_grants_at_their_facility(desk: Desk) -> None:
    """And nowhere else, nor everywhere, nor an administrator; what is there of others they do not see."""
    manager = await desk.signs_in(await desk.person(("facility_manager", HERE)))
    person = await desk.person(("nurse", ELSEWHERE), ("nurse", HERE))
    for role, at in (("nurse", ELSEWHERE), ("nurse", None), ("administrator", HERE), ADMINISTRATOR):
        assert rule(await grant(desk, manager, person, role, at)) == "RoleMayNotBeGranted"
    granted = await grant(desk, manager, person, "registrar", HERE)
    assert [(each["role"], each["facility_id"]) for each in granted.json()["grants"]] == [
        ("nurse", str(HERE)), ("registrar", str(HERE)),
    ]  # fmt: skip
    withdrawn = await desk.asks(manager, "DELETE", f"/users/{person.user_id}/roles/nurse?facility_id={ELSEWHERE}")
    assert rule(withdrawn) == "RoleMayNotBeGranted"
    assert len((await desk.asks(manager, "GET", "/users")).json()["items"]) == 2


async def test_a_facility_manager_knows_nobody_else(desk: Desk) -> None:
    """Who never had a role at the facility does not exist for its manager: no name, no role, and no session ends."""
    manager = await desk.signs_in(await desk.person(("facility_manager", HERE)))
    person = await desk.person(("nurse", ELSEWHERE))
    signed = await desk.signs_in(person)
    nobody = Person(uuid4(), "")
    role = f"roles/nurse?facility_id={HERE}"
    for ask in (
        lambda whom: desk.asks(manager, "GET", f"/users/{whom.user_id}"),
        lambda whom: grant(desk, manager, whom, "nurse", HERE),
        lambda whom: desk.asks(manager, "DELETE", f"/users/{whom.user_id}/{role}"),
    ):
        replies = [await ask(whom) for whom in (person, nobody)]
        assert {(reply.status_code, reply.text) for reply in replies} == {(404, replies[0].text)}
    assert not await desk.is_refused(signed)
    assert len((await desk.asks(manager, "GET", "/users")).json()["items"]) == 1


async def test_a_facility_manager_knows_former_colleagues(desk: Desk) -> None:
    """Who had a role at the facility can get one again, until they are erased."""
    manager = await desk.signs_in(await desk.person(("facility_manager", HERE)))
    person, officer = await desk.person(("nurse", HERE)), await desk.person(("privacy_officer", None))
    path = f"/users/{person.user_id}"
    assert (await desk.asks(manager, "DELETE", f"{path}/roles/nurse?facility_id={HERE}")).json()["grants"] == []
    assert (await desk.asks(manager, "GET", path)).json()["email"] == person.email
    assert (await grant(desk, manager, person, "registrar", HERE)).status_code == 200
    await desk.asks(await desk.signs_in(officer), "DELETE", path)
    assert (await desk.asks(manager, "GET", path)).status_code == 404


async def test_who_works_elsewhere_is_not_disturbed(desk: Desk) -> None:
    """A session at another facility goes on when roles change at this one; those that the change concerns end.

    One that was here until lately ends too: a token from then may count still.
    """
    manager = await desk.signs_in(await desk.person(("facility_manager", HERE)))
    person = await desk.person(("nurse", ELSEWHERE), ("nurse", HERE))
    elsewhere, before, moved = [await desk.signs_in(person, facility_id=str(at)) for at in (ELSEWHERE, HERE, HERE)]
    before = (await desk.refreshes(before, facility_id=str(ELSEWHERE))).json()
    clock.shift = rules.ACCESS_TOKEN_LIFETIME + rules.CLOCK_SKEW
    manager, elsewhere, before = [(await desk.refreshes(each)).json() for each in (manager, elsewhere, before)]
    moved = (await desk.refreshes(moved, facility_id=str(ELSEWHERE))).json()
    here, both = await desk.signs_in(person, facility_id=str(HERE)), await desk.signs_in(person)
    withdrawn = await desk.asks(manager, "DELETE", f"/users/{person.user_id}/roles/nurse?facility_id={HERE}")
    assert withdrawn.status_code == 200
    ended = [await desk.is_refused(each) for each in (elsewhere, before, moved, here, both)]
    assert ended == [False, False, True, True, True]
    assert (await desk.refreshes(elsewhere)).json()["roles"] == ["nurse"]


async def test_a_role_needs_a_facility_that_there_is(desk: Desk, administrator: dict[str, Any]) -> None:
    """One that was not heard of yet is waited for; a role that there is not is not found."""
    person = await desk.person()
    unknown = await grant(desk, administrator, person, "nurse", uuid4())
    assert (unknown.status_code, unknown.json()["waits_for"]) == (409, "facility_reference")
    assert rule(await grant(desk, administrator, person, "sorcerer", HERE)) == "RoleNotFound"


async def test_what_concerns_the_platform_needs_a_role_everywhere(desk: Desk) -> None:
    """An administrator of one facility suspends, erases, rotates and audits nothing."""
    local = await desk.signs_in(await desk.person(("administrator", HERE)))
    person = await desk.person()
    asked = [
        ("POST", f"/users/{person.user_id}/suspension"),
        ("DELETE", f"/users/{person.user_id}"),
        ("DELETE", f"/users/{person.user_id}/sessions"),
        ("POST", "/keys/rotation"),
        ("GET", "/clients"),
        ("GET", "/audit"),
    ]
    for method, path in asked:
        assert rule(await desk.asks(local, method, path)) == "RoleMustCountEverywhere"


async def test_a_suspended_user_is_kept_out(desk: Desk, administrator: dict[str, Any]) -> None:
    """At once, until somebody reinstates them; not by proving the address or waiting for a lock to expire."""
    person = await desk.person()
    signed = await desk.signs_in(person)
    path = f"/users/{person.user_id}/suspension"
    assert (await desk.asks(administrator, "POST", path)).json()["status"] == "suspended"
    assert await desk.is_refused(signed)
    assert (await desk.refreshes(signed)).status_code == 401
    assert (await desk.tries(person)).status_code == 401
    assert rule(await desk.asks(administrator, "POST", path)) == "UserCannotBecome"
    assert rule(await desk.asks(administrator, "DELETE", f"/users/{person.user_id}/lock")) == "UserCannotBecome"
    assert (await desk.asks(administrator, "DELETE", path)).json()["status"] == "active"
    assert (await desk.tries(person)).status_code == 200
    assert len(await desk.at.published(UserSuspended)) == 1


async def test_nobody_is_reinstated_who_never_proved_an_address(desk: Desk, administrator: dict[str, Any]) -> None:
    """A pending account becomes active by its code alone."""
    await desk.registers("pending@example.org")
    [pending] = await desk.rows("SELECT user_id FROM auth_users WHERE status = 'pending'")
    assert rule(await desk.asks(administrator, "DELETE", f"/users/{pending.user_id}/suspension")) == "UserCannotBecome"


async def test_a_suspension_proves_no_address(desk: Desk, administrator: dict[str, Any]) -> None:
    """Who was suspended before they had proven their address is pending again once reinstated, until their code is shown."""
    await desk.registers("pending@example.org")
    [pending] = await desk.rows("SELECT user_id FROM auth_users WHERE status = 'pending'")
    path = f"/users/{pending.user_id}/suspension"
    await desk.asks(administrator, "POST", path)
    [code] = (await desk.codes())[1:]
    assert (await desk.client.post("/verify", json={"code": code})).status_code == 422
    assert (await desk.asks(administrator, "DELETE", path)).json()["status"] == "pending"
    assert (await desk.at.published(UserChanged))[-1].status == "pending"
    assert (await desk.tries("pending@example.org")).status_code == 401
    assert (await desk.client.post("/verify", json={"code": code})).status_code == 200
    assert (await desk.tries("pending@example.org")).status_code == 200


async def test_an_administrator_ends_sessions_and_removes_apps(desk: Desk, administrator: dict[str, Any]) -> None:
    """For who lost a phone."""
    person = await desk.person()
    signed = await desk.signs_in(person)
    await desk.asks(signed, "POST", "/mfa", {"password": PASSWORD})
    assert (await desk.asks(administrator, "DELETE", f"/users/{person.user_id}/mfa")).status_code == 204
    assert await desk.rows("SELECT * FROM mfa_factors") == []
    assert (await desk.asks(administrator, "DELETE", f"/users/{person.user_id}/sessions")).status_code == 204
    assert await desk.is_refused(signed)


async def test_the_last_administrator_stays(desk: Desk, administrator: dict[str, Any]) -> None:
    """Not suspended, not erased, not demoted: while one is left. With a second one who can act, the first one may go."""
    me = f"/users/{administrator['user_id']}"
    ways = [("POST", f"{me}/suspension"), ("DELETE", me), ("DELETE", f"{me}/roles/administrator")]
    second = await desk.person()
    for method, path in ways:
        assert rule(await desk.asks(administrator, method, path)) == "LastAdministratorMustStay"
    await grant(desk, administrator, second, "administrator")
    await desk.asks(administrator, "POST", f"/users/{second.user_id}/suspension")
    for method, path in ways:
        assert rule(await desk.asks(administrator, method, path)) == "LastAdministratorMustStay", "a suspended one is none"
    await desk.asks(administrator, "DELETE", f"/users/{second.user_id}/suspension")
    assert (await desk.asks(administrator, "DELETE", f"{me}/roles/administrator")).status_code == 200


async def test_two_administrators_do_not_dismiss_each_other(desk: Desk) -> None:
    """Of two who do so at once, one remains."""
    people = [await desk.person(ADMINISTRATOR), await desk.person(ADMINISTRATOR)]
    first, second = [await desk.signs_in(each) for each in people]
    replies = await asyncio.gather(
        desk.asks(first, "DELETE", f"/users/{people[1].user_id}/roles/administrator"),
        desk.asks(second, "DELETE", f"/users/{people[0].user_id}/roles/administrator"),
    )
    assert sorted(reply.status_code for reply in replies) == [200, 409]
    assert len(await desk.rows("SELECT * FROM admin_users")) == 1


async def test_the_first_administrator(desk: Desk) -> None:
    """Is appointed from outside, once, and can sign in."""
    asked = commands.Registration(
        email="first@example.org", password=PASSWORD, full_name="First", phone=None, locale="en", time_zone="UTC"
    )
    async with desk.at.transaction() as session:
        await commands.appoint_first_administrator(session, asked, desk.vault)
    with pytest.raises(AdministratorExistsAlready):
        async with desk.at.transaction() as session:
            await commands.appoint_first_administrator(session, asked, desk.vault)
    signed = (await desk.tries("first@example.org")).json()
    assert (signed["roles"], signed["facilities"]) == (["administrator"], ["*"])


async def test_an_erased_user_is_an_id(desk: Desk) -> None:
    """Nothing personal is left here, and others hear that it has to go; the audit log stays whole, with the id alone."""
    officer = await desk.signs_in(await desk.person(("privacy_officer", None)))
    person = await desk.person(("nurse", HERE), email="erased@example.org")
    signed = await desk.signs_in(person, device="the phone of Amina")
    said = {"phone": "+249912345678", "locale": "ar-SD", "time_zone": "Africa/Khartoum"}
    assert (await desk.asks(signed, "PATCH", "/me", said)).status_code == 200
    await desk.asks(signed, "POST", "/mfa", {"password": PASSWORD})
    assert (await desk.asks(officer, "DELETE", f"/users/{person.user_id}")).json()["status"] == "deleted"
    assert await desk.is_refused(signed)
    assert (await desk.tries("erased@example.org")).status_code == 401
    [erased] = await desk.at.published(UserErased)
    assert erased.user_id == person.user_id
    state = (await desk.at.published(UserChanged))[-1]
    assert (state.grants, state.status) == ((), "deleted")
    assert [bool(getattr(state, name)) for name in personal_fields(UserChanged)] == [False] * 5
    tables = await desk.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    for table in tables:
        rows = await desk.rows(f"SELECT t::text FROM {table.tablename} t WHERE t::text LIKE '%{person.user_id}%'")
        for personal in ("erased@example.org", "Amina", "127.0.0.1", "argon2", *said.values()):
            assert personal not in str(rows), table.tablename
    assert (await desk.asks(officer, "GET", "/audit/proof")).status_code == 200
    assert rule(await desk.asks(officer, "DELETE", f"/users/{person.user_id}")) == "UserCannotBecome"


async def test_erasures_are_announced_again(desk: Desk) -> None:
    """As they were, for a service that is new, or was restored from a backup; nobody else is."""
    officer = await desk.signs_in(await desk.person(("privacy_officer", None)))
    for person in [await desk.person(), await desk.person()]:
        await desk.asks(officer, "DELETE", f"/users/{person.user_id}")
    before = await desk.at.published(UserErased)
    assert (await desk.asks(officer, "POST", "/erasures/announcement")).status_code == 204
    again = (await desk.at.published(UserErased))[len(before) :]
    logged = await desk.rows("SELECT user_id, at FROM auth_audit_logs WHERE action = 'user.erased' ORDER BY position")
    assert [(each.user_id, each.erased_at) for each in again] == [tuple(row) for row in logged]
    assert [each.user_id for each in again] == [each.user_id for each in before]


async def test_the_address_of_an_erased_user_is_free(desk: Desk, administrator: dict[str, Any]) -> None:
    """Whoever registers it is somebody else."""
    person = await desk.person(email="again@example.org")
    await desk.asks(administrator, "DELETE", f"/users/{person.user_id}")
    assert (await desk.person(email="again@example.org")).user_id != person.user_id


async def test_the_audit_log_is_only_appended_to(desk: Desk, administrator: dict[str, Any]) -> None:
    """The database refuses anything else; what is changed behind its back is found, and named."""
    for statement in ("UPDATE auth_audit_logs SET actor = 'x'", "DELETE FROM auth_audit_logs", "TRUNCATE auth_audit_logs"):
        with pytest.raises(DBAPIError, match="only ever appended to"):
            async with desk.at.transaction() as session:
                await session.execute(text(statement))
    entries = (await desk.asks(administrator, "GET", "/audit")).json()["items"]
    assert [entry["position"] for entry in entries] == list(range(1, len(entries) + 1))
    assert (await desk.asks(administrator, "GET", "/audit/proof")).json() == {"entries": len(entries)}
    async with desk.at.transaction() as session:
        await session.execute(text("SET LOCAL session_replication_role = replica"))
        await session.execute(text("UPDATE auth_audit_logs SET actor = 'x' WHERE position = 2"))
    broken = await desk.asks(administrator, "GET", "/audit/proof")
    assert (rule(broken), broken.json()["position"]) == ("AuditChainIsBroken", "2")


async def test_what_the_audit_log_says(desk: Desk, administrator: dict[str, Any]) -> None:
    """Who did what to whom, by ids; nothing personal."""
    person = await desk.person(email="watched@example.org")
    await grant(desk, administrator, person, "nurse", HERE)
    entries = (await desk.asks(administrator, "GET", f"/audit?user_id={person.user_id}")).json()["items"]
    assert [entry["action"] for entry in entries] == ["user.registered", "user.verified", "role.assigned"]
    assert entries[-1]["actor"] == administrator["user_id"]
    assert entries[-1]["facts"] == {"role": "nurse", "facility_id": str(HERE)}
    assert "watched" not in str(entries)
    assert "Amina" not in str(entries)
