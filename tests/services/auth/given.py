"""People who have accounts, and how they use them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID, uuid4

import httpx
from sqlalchemy import event as sa_event
from sqlalchemy import text

from broker import Principal
from broker._schedule import Scheduler
from contracts.auth import (
    AuthCleanUpDue,
    AuthKeyChanged,
    AuthLockExpired,
    AuthLoginFailed,
    AuthRegistrationAsked,
    AuthVerificationRequested,
    Grant,
    SessionRevoked,
)
from contracts.event import Event
from contracts.facility import FacilityChanged
from services.auth import commands
from services.auth.tables import User
from services.auth.vault import Vault
from tests.services.kit import Workplace

PASSWORD = "correct horse battery"
HERE, ELSEWHERE = uuid4(), uuid4()
OPERATOR = Principal("operator", frozenset({"administrator"}), None)
"""Who grants the first roles."""


@dataclass
class Person:
    """Somebody with an account."""

    user_id: UUID
    email: str


@dataclass
class Desk:
    """Auth, hearing what it says itself as it would by the broker, and a client without a token."""

    at: Workplace
    client: httpx.AsyncClient
    heard: dict[type[Event], int] = field(default_factory=dict)

    @property
    def vault(self) -> Vault:
        return Vault(self.at.app.state.outside["auth_key_secret"])

    @asynccontextmanager
    async def elsewhere(self, address: str) -> AsyncIterator[Desk]:
        """The same for who comes from another address."""
        transport = httpx.ASGITransport(self.at.app, raise_app_exceptions=False, client=(address, 4711))
        async with httpx.AsyncClient(transport=transport, base_url=self.client.base_url) as client:
            yield replace(self, client=client)

    async def registers(self, email: str, password: str = PASSWORD, **more: Any) -> httpx.Response:
        body = {"email": email, "password": password, "full_name": "Amina Osman", **more}
        reply = await self.client.post("/register", json=body)
        await self.hear()
        return reply

    async def codes(self) -> list[str]:
        """Those that were sent, the oldest first."""
        return [event.code for event in await self.at.published(AuthVerificationRequested)]

    async def person(self, *grants: tuple[str, UUID | None], email: str = "") -> Person:
        """Somebody whose address is proven, with these roles."""
        email = email or f"{uuid4().hex}@example.org"
        await self.registers(email)
        reply = await self.client.post("/verify", json={"code": (await self.codes())[-1]})
        person = Person(UUID(reply.json()["user_id"]), email)
        async with self.at.transaction() as session:
            for role, facility_id in grants:
                await commands.assign_role(session, person.user_id, Grant(role=role, facility_id=facility_id), OPERATOR)
        return person

    async def tries(self, person: Person | str, password: str = PASSWORD, **more: Any) -> httpx.Response:
        """Somebody tries to sign in; auth has heard of a failure when the answer is given back."""
        email = person if isinstance(person, str) else person.email
        reply = await self.client.post("/login", json={"email": email, "password": password, **more})
        await self.hear()
        return reply

    async def signs_in(self, person: Person, **more: Any) -> dict[str, Any]:
        """Somebody does."""
        reply = await self.tries(person, **more)
        assert reply.status_code == 200, reply.text
        body: dict[str, Any] = reply.json()
        return body

    async def asks(self, signed: dict[str, Any], method: str, path: str, body: Any = None) -> httpx.Response:
        """A request with the access token of a sign-in; what it says has arrived when the answer is given back."""
        headers = {"Authorization": f"Bearer {signed['access_token']}"}
        reply = await self.client.request(method, path, json=body, headers=headers)
        await self.hear()
        return reply

    async def refreshes(self, signed: dict[str, Any], **more: Any) -> httpx.Response:
        reply = await self.client.post("/refresh", json={"refresh_token": signed["refresh_token"], **more})
        await self.hear()
        return reply

    async def is_refused(self, signed: dict[str, Any]) -> bool:
        """Whether the access token counts no more."""
        return (await self.asks(signed, "GET", "/sessions")).status_code == 401

    async def hear(self) -> None:
        """What auth has said of keys, sessions, registrations and failures arrives."""
        for kind in (AuthKeyChanged, SessionRevoked, AuthRegistrationAsked, AuthLoginFailed):
            said = await self.at.published(kind)
            for event in said[self.heard.get(kind, 0) :]:
                await self.at.arrive(event)
            self.heard[kind] = len(said)

    async def tell_time(self) -> None:
        """What is due by now happens."""
        kinds = (AuthLockExpired, AuthCleanUpDue)
        before = {kind: len(await self.at.published(kind)) for kind in kinds}
        await Scheduler(self.at.database).run_once()
        for kind in kinds:
            for event in (await self.at.published(kind))[before[kind] :]:
                await self.at.deliver(event)

    @contextmanager
    def statements(self) -> Iterator[list[str]]:
        """What is said to the database meanwhile."""
        said: list[str] = []

        def note(*executed: Any) -> None:
            said.append(executed[2])

        engine = self.at.database.engine.sync_engine
        sa_event.listen(engine, "before_cursor_execute", note)
        try:
            yield said
        finally:
            sa_event.remove(engine, "before_cursor_execute", note)

    async def user(self, person: Person) -> User:
        async with self.at.transaction() as session:
            return await User.seen(session, person.user_id)

    async def rows(self, query: str, **values: object) -> list[Any]:
        async with self.at.database.engine.connect() as connection:
            return list((await connection.execute(text(query), values)).all())


def facility(facility_id: UUID) -> FacilityChanged:
    """Facility's word on one of its own."""
    return FacilityChanged(
        facility_id=facility_id,
        name="Khartoum General",
        kind="hospital",
        status="active",
        time_zone="Africa/Khartoum",
        currency="USD",
        state_version=1,
    )
