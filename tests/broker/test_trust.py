"""Whose tokens a service takes: by keys and revocations that auth has published, without asking it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from uuid import UUID, uuid4

import httpx
import pytest
from joserfc.jwk import OKPKey
from sqlalchemy import event, func, select

from broker import DeclarationError, Principal, Reading, Router, Service, Settings, allow, clock
from broker import _trust as trust
from broker._context import uuid7
from broker._database import Database
from broker._failures import Failures
from broker._http import application
from broker._ownership import check_ownership
from broker._replica_processor import ReplicaProcessor, replica_fed_by
from broker._runtime import Runtime
from broker._service import check_platform
from broker._tokens import issue_token, key_set_of, new_key
from broker._trust import KEPT, RevokedSession, RevokedSessionPurge, SigningKey
from broker.testing.scratch import Databases
from contracts.auth import AuthKeyChanged, SessionRevoked
from contracts.event import StateEvent
from tests.broker.ward import HERE, Booking, ward, ward_database
from tests.services.kit import delivery_of, envelope_of

OPERATORS, AUTHS = new_key(), new_key()
SETTINGS = Settings(database_url="", amqp_url="", key_set=key_set_of(OPERATORS))
router = Router()
SERVICE = replace(ward, trusts_auth=True, api=router)


@router.get("/beds")
async def count_beds(session: Reading, who: Annotated[Principal, allow("nurse")]) -> int:
    """How many are booked; the session is asked for before it is known who asks."""
    return await session.scalar(select(func.count()).select_from(Booking)) or 0


class Bedside:
    """The ward with a key of its operator's, which hears what auth says."""

    def __init__(self, database: Database) -> None:
        self.database = database
        transport = httpx.ASGITransport(application(SERVICE, SETTINGS, database), raise_app_exceptions=False)
        self.client = httpx.AsyncClient(transport=transport, base_url="http://ward/api/v1")

    async def hear(self, said: StateEvent) -> None:
        for subscription in SERVICE.subscriptions:
            if subscription.contract(said.contract.name) and replica_fed_by(SERVICE, subscription):
                processor = ReplicaProcessor(self.database, SERVICE, subscription, Failures(SERVICE))
                await processor.process([delivery_of(envelope_of(said, uuid7()))])

    async def status(self, token: str) -> int:
        """What the ward answers to it."""
        return (await self.client.get("/beds", headers={"Authorization": f"Bearer {token}"})).status_code

    @contextmanager
    def queries(self) -> Iterator[list[str]]:
        """The statements that are sent inside."""
        sent: list[str] = []

        def note(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
            sent.append(statement)

        engine = self.database.engine.sync_engine
        event.listen(engine, "before_cursor_execute", note)
        try:
            yield sent
        finally:
            event.remove(engine, "before_cursor_execute", note)


@pytest.fixture
async def bedside(database: Databases) -> AsyncIterator[Bedside]:
    bedside = Bedside(await ward_database(await database()))
    yield bedside
    await bedside.client.aclose()
    await bedside.database.close()


def announced(key: OKPKey, *, expires_at: datetime | None = None, version: int = 1) -> AuthKeyChanged:
    """Auth's word on a key."""
    public = json.dumps(key.as_dict(private=False))
    return AuthKeyChanged(
        kid=str(key.kid), public_key=public, signs_from=clock.now(), expires_at=expires_at, state_version=version
    )


def revoked(session_id: UUID, *, expires_at: datetime | None = None) -> SessionRevoked:
    """Auth's word on a session."""
    return SessionRevoked(
        session_id=session_id,
        user_id=uuid4(),
        reason="signed_out",
        revoked_at=clock.now(),
        expires_at=expires_at or clock.now() + timedelta(minutes=10),
        state_version=1,
    )


def token(key: OKPKey, session_id: UUID | None) -> str:
    minute = timedelta(minutes=1)
    return issue_token(key, subject="n", roles=["nurse"], facilities=[HERE], lifetime=minute, session_id=session_id)


async def test_a_key_that_arrived_verifies(bedside: Bedside, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token counts as soon as auth's event has brought its key, without a restart."""
    monkeypatch.setattr(trust, "LOOK_AGAIN", 0.0)
    signed = token(AUTHS, uuid4())
    assert await bedside.status(signed) == 401
    await bedside.hear(announced(AUTHS))
    assert await bedside.status(signed) == 200


async def test_a_revoked_session_is_refused(bedside: Bedside) -> None:
    """From the moment the revocation has arrived no token of the session counts, whoever's key signed it; others do."""
    session_id = uuid4()
    await bedside.hear(announced(AUTHS))
    tokens = [token(AUTHS, session_id), token(OPERATORS, session_id)]
    assert [await bedside.status(each) for each in tokens] == [200, 200]
    await bedside.hear(revoked(session_id))
    assert [await bedside.status(each) for each in tokens] == [401, 401]
    assert await bedside.status(token(AUTHS, uuid4())) == 200
    assert [await Bedside(bedside.database).status(each) for each in tokens] == [401, 401], "after a restart"


async def test_what_auth_signed_belongs_to_a_session(bedside: Bedside) -> None:
    """A token without a session, which nobody could revoke, counts only if a key of the settings signed it."""
    await bedside.hear(announced(AUTHS))
    assert await bedside.status(token(AUTHS, None)) == 401
    assert await bedside.status(token(OPERATORS, None)) == 200


async def test_a_retired_key(bedside: Bedside, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that auth retires verifies until its last token has expired, and then no more."""
    monkeypatch.setattr(trust, "FRESH", 0.0)
    await bedside.hear(announced(AUTHS))
    signed = token(AUTHS, uuid4())
    await bedside.hear(announced(AUTHS, expires_at=clock.now() + timedelta(minutes=1), version=2))
    assert await bedside.status(signed) == 200
    await bedside.hear(announced(AUTHS, expires_at=clock.now(), version=3))
    assert await bedside.status(signed) == 401


async def test_a_key_that_is_withdrawn(bedside: Bedside, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key whose tombstone has arrived verifies nothing."""
    monkeypatch.setattr(trust, "FRESH", 0.0)
    await bedside.hear(announced(AUTHS))
    signed = token(AUTHS, uuid4())
    assert await bedside.status(signed) == 200
    await bedside.hear(announced(AUTHS, version=2).model_copy(update={"deleted": True}))
    assert await bedside.status(signed) == 401


async def test_made_up_keys_cost_little(bedside: Bedside) -> None:
    """However many tokens name keys that nobody has, the database is asked at most once per pause."""
    before = asyncio.get_running_loop().time()
    with bedside.queries() as sent:
        answers = await asyncio.gather(*(bedside.status(token(new_key(), uuid4())) for _ in range(200)))
    passed = asyncio.get_running_loop().time() - before
    assert set(answers) == {401}
    assert 1 <= len(sent) <= 1 + passed / trust.LOOK_AGAIN


async def test_a_request_costs_one_look(bedside: Bedside) -> None:
    """With the keys in memory, whether a token counts is one statement without a transaction."""
    await bedside.hear(announced(AUTHS))
    signed = token(AUTHS, uuid4())
    await bedside.status(signed)
    with bedside.queries() as sent:
        assert await bedside.status(signed) == 200
    assert sum("revoked_session" in each for each in sent) == 1
    assert len(sent) == 3, "beside it the reading transaction, and what it reads"


async def test_what_auth_has_forgotten_stays_refused(bedside: Bedside) -> None:
    """A tombstone says that no token of the session can be left; if one is, by whatever clock, it does not count."""
    await bedside.hear(announced(AUTHS))
    session_id = uuid4()
    signed, said = token(AUTHS, session_id), revoked(session_id)
    assert await bedside.status(signed) == 200
    await bedside.hear(said)
    await bedside.hear(said.model_copy(update={"state_version": 2, "deleted": True}))
    assert await bedside.status(signed) == 401


async def test_more_requests_than_connections(bedside: Bedside) -> None:
    """A request whose token is being looked at holds no connection, even if its route asks for the session first."""
    await bedside.hear(announced(AUTHS))
    signed = token(AUTHS, uuid4())
    async with asyncio.timeout(20):
        assert set(await asyncio.gather(*(bedside.status(signed) for _ in range(60)))) == {200}


async def test_what_is_over_is_forgotten(bedside: Bedside) -> None:
    """A revocation goes when auth has had time to forget it first, however many there are; others stay."""
    now, kept = datetime.now(UTC), uuid4()
    for _ in range(3):
        await bedside.hear(revoked(uuid4(), expires_at=now - KEPT - timedelta(minutes=2)))
    await bedside.hear(revoked(kept, expires_at=now - KEPT + timedelta(minutes=2)))
    purge = RevokedSessionPurge(bedside.database.engine, at_once=2)
    assert [await purge.run_once(), await purge.run_once()] == [True, False]
    async with bedside.database.transaction() as session:
        assert list(await session.scalars(select(RevokedSession.id))) == [kept]


def test_nothing_has_to_be_written_for_it() -> None:
    """Every service with an API hears of keys and revocations by itself; one without, or without auth, does not."""
    assert SERVICE.replicated == (SigningKey, RevokedSession)
    assert ward.replicated == ()
    assert replace(SERVICE, api=None).replicated == ()
    check_ownership(SERVICE)


def test_a_platform_without_auth_says_so() -> None:
    """Where nobody publishes keys, a service that would wait for them is refused."""
    with pytest.raises(DeclarationError, match=r"auth\.key\.changed"):
        check_platform([SERVICE])
    check_platform([ward])


def test_a_service_does_not_start_without_its_secrets() -> None:
    """The message names the variable that is missing."""
    service = Service(name="safe", port=1, contracts=ward.contracts, secrets=("safe_secret",))
    with pytest.raises(DeclarationError, match=r"set NILECARE_OUTSIDE_SAFE_SECRET$"):
        Runtime(service, SETTINGS, subscribed={})
