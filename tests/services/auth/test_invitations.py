"""Roles that are offered to an address, and taken by who has it."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest

from broker import clock
from contracts.auth import RoleAssigned
from services.auth import rules
from tests.services.auth.given import ELSEWHERE, HERE, Desk, Person

OTHER = "other@example.org"


@pytest.fixture
async def manager(desk: Desk) -> Person:
    """Who grants roles here."""
    return await desk.person(("facility_manager", HERE))


async def offer(desk: Desk, by: Person, email: str, role: str = "nurse", at: UUID = HERE) -> Any:
    """Somebody offers a role; gives the reply."""
    asked = {"email": email, "role": role, "facility_id": str(at)}
    return await desk.asks(await desk.signs_in(by), "POST", "/invitations", asked)


async def offered(desk: Desk, to: dict[str, Any]) -> list[Any]:
    """What is on offer to who is signed in."""
    items: list[Any] = (await desk.asks(to, "GET", "/me/invitations")).json()["items"]
    return items


async def take(desk: Desk, who: dict[str, Any], invitation: str) -> Any:
    """Somebody takes a role; gives the reply."""
    return await desk.asks(who, "POST", f"/me/invitations/{invitation}/acceptance")


def rule(reply: Any) -> str:
    """The rule that a refusal names."""
    assert reply.status_code >= 400, reply.text
    return str(reply.json()["type"]).removeprefix("urn:nilecare:rule:")


async def test_a_role_is_offered_and_taken(desk: Desk, manager: Person) -> None:
    """Who has the address takes it, once; until then the manager does not know who that is."""
    person = await desk.person()
    invited = await offer(desk, manager, f" {person.email.upper()}")
    signed = await desk.signs_in(person)
    [invitation] = await offered(desk, signed)
    assert (invitation["role"], invitation["facility_id"]) == ("nurse", str(HERE))
    assert invitation["invitation_id"] == invited.json()["invitation_id"]
    managing = await desk.signs_in(manager)
    assert (await desk.asks(managing, "GET", f"/users/{person.user_id}")).status_code == 404
    taken = await take(desk, signed, invitation["invitation_id"])
    assert taken.status_code == 200, taken.text
    assert await desk.is_refused(signed)
    after = await desk.signs_in(person)
    assert (after["roles"], after["facilities"]) == (["nurse"], [str(HERE)])
    assert (await desk.asks(managing, "GET", f"/users/{person.user_id}")).json()["email"] == person.email
    [*_, assigned] = await desk.at.published(RoleAssigned)
    assert (assigned.user_id, assigned.assigned_by) == (person.user_id, manager.user_id)
    assert (await take(desk, after, invitation["invitation_id"])).status_code == 404
    actions = await desk.rows("SELECT action, actor FROM auth_audit_logs WHERE action LIKE 'role.%' ORDER BY position")
    assert actions[-2:] == [("role.offered", str(manager.user_id)), ("role.assigned", str(person.user_id))]


async def test_an_offer_does_not_tell_who_has_an_account(desk: Desk, manager: Person) -> None:
    """Known or not, the reply is the same but for ids and times; an account can be made later."""
    known = await desk.person()
    replies = [(await offer(desk, manager, email)).json() for email in (known.email, OTHER)]
    assert {tuple(sorted(reply)) for reply in replies} == {tuple(sorted(replies[0]))}
    late = await desk.signs_in(await desk.person(email=OTHER))
    [invitation] = await offered(desk, late)
    assert (await take(desk, late, invitation["invitation_id"])).status_code == 200


async def test_an_offer_is_for_one_address(desk: Desk, manager: Person) -> None:
    """Nobody else sees or takes it."""
    invitation = (await offer(desk, manager, OTHER)).json()["invitation_id"]
    somebody = await desk.signs_in(await desk.person())
    assert await offered(desk, somebody) == []
    assert (await take(desk, somebody, invitation)).status_code == 404
    assert (await take(desk, somebody, str(uuid4()))).status_code == 404


async def test_who_may_offer_what(desk: Desk, manager: Person) -> None:
    """A manager offers roles of their facility alone; an administrator's is offered by nobody."""
    administrator = await desk.person(("administrator", None))
    assert rule(await offer(desk, manager, OTHER, at=ELSEWHERE)) == "RoleMayNotBeGranted"
    assert rule(await offer(desk, manager, OTHER, "administrator")) == "RoleMayNotBeGranted"
    assert rule(await offer(desk, administrator, OTHER, "administrator")) == "RoleMayNotBeGranted"
    assert rule(await offer(desk, manager, OTHER, "sorcerer")) == "RoleNotFound"
    assert (await offer(desk, administrator, OTHER, at=uuid4())).json()["waits_for"] == "facility_reference"
    assert (await offer(desk, administrator, OTHER, at=ELSEWHERE)).status_code == 201


async def test_an_offer_is_taken_back(desk: Desk, manager: Person) -> None:
    """By who grants roles there; who does so elsewhere neither sees it nor ends it."""
    other = await desk.signs_in(await desk.person(("facility_manager", ELSEWHERE)))
    invitation = (await offer(desk, manager, OTHER)).json()["invitation_id"]
    managing = await desk.signs_in(manager)
    assert (await desk.asks(other, "GET", "/invitations")).json()["items"] == []
    assert (await desk.asks(other, "DELETE", f"/invitations/{invitation}")).status_code == 404
    assert [each["email"] for each in (await desk.asks(managing, "GET", "/invitations")).json()["items"]] == [OTHER]
    assert (await desk.asks(managing, "DELETE", f"/invitations/{invitation}")).status_code == 204
    assert await desk.rows("SELECT * FROM auth_invitations") == []


async def test_an_offer_is_over_in_time(desk: Desk, manager: Person) -> None:
    """Nobody takes it afterwards, and it is forgotten; offered again, it is on offer for longer, and once."""
    invitation = (await offer(desk, manager, OTHER)).json()["invitation_id"]
    clock.shift = rules.INVITATION_LIFETIME
    late = await desk.signs_in(await desk.person(email=OTHER))
    assert await offered(desk, late) == []
    assert (await take(desk, late, invitation)).status_code == 404
    await offer(desk, manager, OTHER)
    assert len(await desk.rows("SELECT * FROM auth_invitations")) == 1
    assert len(await offered(desk, late)) == 1
    clock.shift += rules.INVITATION_LIFETIME
    await desk.tell_time()
    assert await desk.rows("SELECT * FROM auth_invitations") == []


@pytest.mark.parametrize("way", ["roles/facility_manager", "suspension", ""])
async def test_an_offer_counts_while_its_giver_may_grant(desk: Desk, manager: Person, way: str) -> None:
    """Who no longer manages the facility, is suspended or erased has nothing on offer there."""
    administrator = await desk.signs_in(await desk.person(("administrator", None)))
    invitation = (await offer(desk, manager, OTHER)).json()["invitation_id"]
    path = f"/users/{manager.user_id}/{way}".removesuffix("/") + (f"?facility_id={HERE}" if "roles" in way else "")
    await desk.asks(administrator, "POST" if way == "suspension" else "DELETE", path)
    signed = await desk.signs_in(await desk.person(email=OTHER))
    assert rule(await take(desk, signed, invitation)) == "RoleMayNotBeGranted"


async def test_what_was_offered_to_who_is_erased_is_gone(desk: Desk, manager: Person) -> None:
    """With the address."""
    officer = await desk.signs_in(await desk.person(("privacy_officer", None)))
    person = await desk.person(email=OTHER)
    await offer(desk, manager, OTHER)
    await desk.asks(officer, "DELETE", f"/users/{person.user_id}")
    assert await desk.rows("SELECT * FROM auth_invitations") == []
