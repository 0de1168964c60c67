"""Registering, and proving an address."""

from __future__ import annotations

from datetime import timedelta

import pytest

from broker import clock
from contracts.auth import AuthVerificationRequested, UserChanged, UserRegistered, UserVerified
from services.auth import rules
from tests.services.auth.given import PASSWORD, Desk


async def test_an_address_is_proven_by_the_code_that_came_to_it(desk: Desk) -> None:
    """Who registered signs in once the code was shown; others hear each step, and of the code only a hash is kept."""
    assert (await desk.registers("Amina@Example.org ")).status_code == 202
    assert (await desk.tries("amina@example.org")).status_code == 401
    [asked] = await desk.at.published(AuthVerificationRequested)
    assert asked.code not in str(await desk.rows("SELECT * FROM auth_verifications"))
    shown = await desk.client.post("/verify", json={"code": asked.code})
    assert shown.json() == {"user_id": str(asked.user_id)}
    assert (await desk.tries("AMINA@example.org")).status_code == 200
    assert [len(await desk.at.published(each)) for each in (UserRegistered, UserVerified)] == [1, 1]
    assert [state.status for state in await desk.at.published(UserChanged)][:2] == ["pending", "active"]


async def test_a_code_is_good_once(desk: Desk) -> None:
    """A code that was used, that nobody was sent, or that came too late proves nothing."""
    await desk.registers("amina@example.org")
    [code] = await desk.codes()
    assert (await desk.client.post("/verify", json={"code": "made up"})).status_code == 422
    assert (await desk.client.post("/verify", json={"code": code})).status_code == 200
    assert (await desk.client.post("/verify", json={"code": code})).json()["type"] == "urn:nilecare:rule:CodeIsNotValid"
    await desk.registers("badr@example.org")
    clock.shift = rules.VERIFICATION_LIFETIME + timedelta(seconds=1)
    assert (await desk.client.post("/verify", json={"code": (await desk.codes())[-1]})).status_code == 422


async def test_a_known_address_gets_the_same_reply(desk: Desk) -> None:
    """Registration does not tell who has an account, and changes nothing of it."""
    first = await desk.registers("amina@example.org")
    await desk.client.post("/verify", json={"code": (await desk.codes())[0]})
    again = await desk.registers("amina@example.org", password="another password entirely", full_name="Mallory")
    assert (again.status_code, again.json()) == (first.status_code, first.json())
    assert len(await desk.codes()) == 1
    assert (await desk.tries("amina@example.org", PASSWORD)).status_code == 200


async def test_every_registration_is_the_same_work(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether the address is nobody's, not proven, full of codes or somebody's: the time that a reply takes tells nothing."""
    monkeypatch.setattr(rules, "OPEN_VERIFICATIONS", 2)
    person = await desk.person()
    tried = ["new@example.org", "pending@example.org", "full@example.org", person.email]
    for address in ("pending@example.org", "full@example.org", "full@example.org"):
        await desk.registers(address)
    work = []
    for address in tried:
        body = {"email": address, "password": PASSWORD, "full_name": "Amina Osman"}
        with desk.statements() as said:
            assert (await desk.client.post("/register", json=body)).status_code == 202
        work.append(said)
    assert [each == work[0] for each in work] == [True] * len(work)
    before = len(await desk.codes())
    await desk.hear()
    assert len(await desk.codes()) == before + 2


async def test_nothing_is_left_of_a_registration(desk: Desk) -> None:
    """Once it was looked at; one that nobody got round to is forgotten in a day, or with who is erased."""
    officer = await desk.signs_in(await desk.person(("privacy_officer", None)))
    person = await desk.person(email="amina@example.org")
    assert await desk.rows("SELECT * FROM auth_registrations") == []
    body = {"email": person.email, "password": PASSWORD, "full_name": "Amina Osman"}
    for address in (person.email, "late@example.org"):
        await desk.client.post("/register", json=body | {"email": address})
    assert len(await desk.rows("SELECT * FROM auth_registrations")) == 2
    headers = {"Authorization": f"Bearer {officer['access_token']}"}
    await desk.client.delete(f"/users/{person.user_id}", headers=headers)
    assert await desk.rows("SELECT email FROM auth_registrations") == [("late@example.org",)]
    clock.shift = rules.REGISTRATION_KEPT + rules.CLEAN_UP_EVERY
    await desk.tell_time()
    assert await desk.rows("SELECT * FROM auth_registrations") == []
    await desk.hear()
    assert len(await desk.codes()) == 2


async def test_who_registers_an_address_of_somebody_else_gains_nothing(desk: Desk) -> None:
    """Password, name and phone count of whose code the owner of the address used, not of whoever came first."""
    await desk.registers("amina@example.org", password="the password of mallory", full_name="Mallory", phone="+249900000666")
    await desk.registers("amina@example.org", full_name="Amina Osman")
    await desk.client.post("/verify", json={"code": (await desk.codes())[1]})
    assert (await desk.tries("amina@example.org", "the password of mallory")).status_code == 401
    assert (await desk.tries("amina@example.org")).status_code == 200
    assert (await desk.client.post("/verify", json={"code": (await desk.codes())[0]})).status_code == 422
    last = (await desk.at.published(UserChanged))[-1]
    assert (last.full_name, last.phone) == ("Amina Osman", None)


async def test_nobody_fills_a_mailbox_with_codes(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """So many codes are on their way to an address; whoever asks for more is told the same, until some are over."""
    monkeypatch.setattr(rules, "OPEN_VERIFICATIONS", 2)
    replies = [await desk.registers("amina@example.org") for _ in range(4)]
    assert {(reply.status_code, reply.text) for reply in replies} == {(202, replies[0].text)}
    assert len(await desk.codes()) == 2
    clock.shift = rules.VERIFICATION_LIFETIME + timedelta(seconds=1)
    await desk.registers("amina@example.org")
    assert len(await desk.codes()) == 3


async def test_a_short_password_is_none(desk: Desk) -> None:
    """A password has the length that NIST asks for; the reply does not repeat it."""
    refused = await desk.registers("amina@example.org", password="short")
    assert refused.status_code == 422
    assert "short" not in refused.text.replace("too_short", "")
