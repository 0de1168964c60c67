"""What users say of themselves."""

from __future__ import annotations

from typing import Any

import pytest

from contracts.auth import UserChanged
from tests.services.auth.given import HERE, Desk


async def test_a_user_changes_what_others_know_of_them(desk: Desk) -> None:
    """Name, phone, locale and time zone, each alone too; others hear of it, and of what stays as well."""
    person = await desk.person(("nurse", HERE))
    signed = await desk.signs_in(person)
    phone = {"phone": "+249912345678"}
    shown = (await desk.asks(signed, "PATCH", "/me", phone)).json()
    assert (shown["phone"], shown["full_name"], shown["locale"]) == (phone["phone"], "Amina Osman", "en")
    asked = {"full_name": "Amina O. Hassan", "locale": "ar-SD", "time_zone": "Africa/Khartoum"}
    assert (await desk.asks(signed, "PATCH", "/me", asked)).json() == shown | asked
    assert (await desk.asks(signed, "GET", "/me")).json() == shown | asked
    state = (await desk.at.published(UserChanged))[-1]
    assert {name: getattr(state, name) for name in (*asked, "phone")} == asked | phone
    assert (state.email, [grant.role for grant in state.grants]) == (person.email, ["nurse"])
    assert (await desk.asks(signed, "PATCH", "/me", {"phone": None})).json()["phone"] is None
    assert not await desk.is_refused(signed)


async def test_nothing_is_said_where_nothing_changes(desk: Desk) -> None:
    """What is given as it is already, or as null but for the phone, is no change."""
    signed = await desk.signs_in(await desk.person())
    before = len(await desk.at.published(UserChanged))
    for asked in ({}, {"full_name": "Amina Osman"}, {"full_name": None, "locale": None, "time_zone": None}, {"phone": None}):
        assert (await desk.asks(signed, "PATCH", "/me", asked)).status_code == 200
    assert len(await desk.at.published(UserChanged)) == before
    assert await desk.rows("SELECT * FROM auth_audit_logs WHERE action = 'profile.changed'") == []


@pytest.mark.parametrize(
    "asked",
    [
        {"full_name": ""},
        {"phone": "0912345678"},
        {"locale": "Arabic"},
        {"time_zone": "Khartoum"},
        {"email": "other@example.org"},
        {"status": "active"},
    ],
)
async def test_what_a_user_does_not_change(desk: Desk, asked: dict[str, Any]) -> None:
    """What is no name, phone, locale or zone; nor the address, which would have to be proven."""
    signed = await desk.signs_in(await desk.person())
    assert (await desk.asks(signed, "PATCH", "/me", asked)).status_code == 422


async def test_the_audit_log_says_which_fields(desk: Desk) -> None:
    """By whom, and not what is in them."""
    person = await desk.person()
    signed = await desk.signs_in(person)
    await desk.asks(signed, "PATCH", "/me", {"phone": "+249912345678", "full_name": "Amina Hassan"})
    [entry] = await desk.rows("SELECT actor, user_id, facts FROM auth_audit_logs WHERE action = 'profile.changed'")
    assert (entry.actor, entry.user_id) == (str(person.user_id), person.user_id)
    assert entry.facts == {"fields": "full_name, phone"}
