"""What a reader gets of a replica that is too old, as it was declared; and of one that is not of the version asked for."""

from __future__ import annotations

import asyncio
import re
import types
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncSession

from broker import (
    DeclarationError,
    Fresh,
    Idempotent,
    NotFound,
    NotYet,
    Reading,
    Router,
    Service,
    StaleReplica,
    Transaction,
    on,
    open_to_everybody,
)
from broker._batch import BatchProcessor
from broker._failures import Failures
from broker._fresh import STALE
from broker._marks import ask_for_mark
from broker._retry import RetryLoop
from contracts.event import Event
from tests.broker.asking import IMPATIENT, SETTINGS, client
from tests.broker.consuming import deliveries_of
from tests.broker.copying import PERSONS, Ferry, Person, PersonReference, ferry_over, ledger

KEY = UUID(int=7)
MINUTE = timedelta(minutes=1)
SAID = re.compile(r"people person_reference 1[2-7]\ds")
SERVE, WAIT, REFUSE = (Fresh(at_most=MINUTE, otherwise=each) for each in ("serve", "wait", "refuse"))


class VisitBegan(Event, name="visit.began", version=1, key="person_id", publisher="lab"):
    """Somebody came."""

    person_id: UUID
    version: int | None = None


visiting = Router(dependencies=[open_to_everybody()])


@visiting.get("/persons/{number}")
async def show_person(number: int, session: Reading) -> str:
    person = await PersonReference.find(session, UUID(int=number))
    if person is None:
        raise NotFound
    return person.full_name


@visiting.post("/visits/{number}")
async def write_visit(number: int, asked: dict[str, str], session: Transaction, key: Idempotent) -> str:
    await session.execute(text("INSERT INTO visit VALUES (:number)"), {"number": number})
    return (await PersonReference.require(session, UUID(int=number))).full_name + asked["how"]


@visiting.get("/nobody")
async def show_nobody(session: Reading) -> int:
    return int(await session.scalar(text("SELECT count(*) FROM visit")) or 0)


@pytest.fixture
async def ferry(database: Callable[..., Awaitable[str]]) -> AsyncIterator[Ferry]:
    """Both sides; the owner has one person, of whom the replica knows, and it is two minutes old."""
    async with ferry_over(database) as ferry:
        async with ferry.keeper.engine.begin() as connection:
            await connection.execute(text("CREATE TABLE visit (number integer)"))
        await ferry.write(Person(person_id=KEY, full_name="Nadia"))
        await ferry.settle()
        await ferry.run(PERSONS, "fill")
        await grows_old(ferry)
        yield ferry


@pytest.fixture
async def keeper(ferry: Ferry) -> AsyncIterator[httpx.AsyncClient]:
    async with client(ledger, visiting, SETTINGS, ferry.keeper) as keeper:
        yield keeper


async def grows_old(ferry: Ferry) -> None:
    """The owner has said nothing for two minutes."""
    await hears(ferry)
    async with ferry.keeper.transaction() as session:
        await session.execute(text("UPDATE backbone.replica_mark SET as_of = as_of - interval '2 minutes'"))


async def hears(ferry: Ferry) -> None:
    """The owner answers."""
    async with ferry.keeper.transaction() as session:
        await ask_for_mark(session, PERSONS)
    await ferry.settle()


async def visits(ferry: Ferry) -> int:
    async with ferry.keeper.transaction() as session:
        return int(await session.scalar(text("SELECT count(*) FROM visit")) or 0)


@pytest.mark.parametrize("otherwise", ["serve", "wait", "refuse"])
async def test_what_is_fresh_enough_is_just_read(
    ferry: Ferry, keeper: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, otherwise: Any
) -> None:
    """Nothing is said of it, whatever would happen otherwise."""
    monkeypatch.setattr(PersonReference, "fresh", Fresh(at_most=MINUTE, otherwise=otherwise))
    await hears(ferry)
    answer = await keeper.get("/persons/7")
    assert (answer.status_code, answer.json()) == (200, "Nadia")
    assert "X-Stale" not in answer.headers


async def test_who_declares_nothing_asks_nothing(ferry: Ferry, keeper: httpx.AsyncClient) -> None:
    """One statement for one row, and no word of an age."""
    statements: list[str] = []
    event.listen(ferry.keeper.engine.sync_engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
    answer = await keeper.get("/persons/7")
    assert (answer.json(), "X-Stale" in answer.headers) == ("Nadia", False)
    assert len([each for each in statements if "person_reference" in each]) == 1
    assert not [each for each in statements if "replica_mark" in each]


async def test_served_and_marked(ferry: Ferry, keeper: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """The row, with a word on how old it is; also when an answer is given again."""
    monkeypatch.setattr(PersonReference, "fresh", SERVE)
    answer = await keeper.get("/persons/7")
    assert answer.status_code == 200
    assert SAID.fullmatch(answer.headers["X-Stale"])
    again = {"Idempotency-Key": "k"}
    first, second = [await keeper.post("/visits/7", json={"how": "!"}, headers=again) for _ in range(2)]
    assert second.headers["Idempotency-Replayed"] == "true"
    assert SAID.fullmatch(first.headers["X-Stale"])
    assert second.headers["X-Stale"] == first.headers["X-Stale"]
    assert "X-Stale" not in (await keeper.get("/nobody")).headers


async def test_an_age_that_nobody_knows(ferry: Ferry, keeper: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Is too old."""
    async with ferry.keeper.transaction() as session:
        await session.execute(text("TRUNCATE backbone.replica_mark"))
    monkeypatch.setattr(PersonReference, "fresh", SERVE)
    assert (await keeper.get("/persons/7")).headers["X-Stale"] == "people person_reference unknown"
    monkeypatch.setattr(PersonReference, "fresh", REFUSE)
    refused = await keeper.get("/persons/7")
    assert (refused.status_code, refused.json()["age_seconds"]) == (503, None)


async def test_refused(ferry: Ferry, monkeypatch: pytest.MonkeyPatch) -> None:
    """At once, and nothing was done; what does not read the replica goes on."""
    monkeypatch.setattr(PersonReference, "fresh", REFUSE)
    patient = replace(SETTINGS, replica_patience=timedelta(hours=1))
    async with asyncio.timeout(10), client(ledger, visiting, patient, ferry.keeper) as keeper:
        refused = await keeper.post("/visits/7", json={"how": "!"})
        assert (await keeper.get("/nobody")).json() == 0
        await hears(ferry)
        assert (await keeper.post("/visits/7", json={"how": "!"})).status_code == 200
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
    told = refused.json()
    assert told["type"] == "urn:nilecare:stale-replica"
    assert (told["replica"], told["owner"], 120 <= told["age_seconds"] < 180) == ("person_reference", "people", True)


async def test_waited_for(ferry: Ferry, keeper: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """The request is answered once the owner has; until then none of its transactions is open, and it is done once."""
    monkeypatch.setattr(PersonReference, "fresh", WAIT)
    begun, looks_again, reading = 0, asyncio.Event(), ferry.keeper.reading

    def watched() -> AbstractAsyncContextManager[AsyncSession]:
        nonlocal begun
        begun += 1
        if begun == 2:
            looks_again.set()
        return reading()

    monkeypatch.setattr(ferry.keeper, "reading", watched)
    asking = asyncio.create_task(keeper.post("/visits/7", json={"how": "!"}))
    async with asyncio.timeout(10):
        await looks_again.wait()
    async with ferry.keeper.engine.connect() as connection:
        locks = "SELECT count(*) FROM pg_locks WHERE relation = CAST('visit' AS regclass) AND mode = 'RowExclusiveLock'"
        assert await connection.scalar(text(locks)) == 0
    await hears(ferry)
    answer = await asking
    assert (answer.status_code, answer.json(), await visits(ferry)) == (200, "Nadia!", 1)
    assert "X-Stale" not in answer.headers


async def test_not_waited_for_too_long(ferry: Ferry, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then it is refused like any other."""
    monkeypatch.setattr(PersonReference, "fresh", WAIT)
    async with client(ledger, visiting, IMPATIENT, ferry.keeper) as keeper:
        refused = await keeper.post("/visits/7", json={"how": "!"})
    assert (refused.status_code, refused.json()["type"]) == (503, "urn:nilecare:stale-replica")
    assert await visits(ferry) == 0


async def test_a_reader_may_ask_for_less_or_more(ferry: Ferry, monkeypatch: pytest.MonkeyPatch) -> None:
    """In place of what is declared; and not where no age is known at all."""
    monkeypatch.setattr(PersonReference, "fresh", REFUSE)
    async with ferry.keeper.transaction() as session:
        assert await PersonReference.find(session, KEY, at_most=timedelta(hours=1)) is not None
        assert await PersonReference.require(session, KEY, at_most=timedelta(hours=1)) is not None
        with pytest.raises(StaleReplica):
            await PersonReference.find(session, KEY, at_most=timedelta(minutes=1))
    monkeypatch.setattr(PersonReference, "fresh", None)
    async with ferry.keeper.transaction() as session:
        with pytest.raises(DeclarationError):
            await PersonReference.find(session, KEY, at_most=MINUTE)


async def test_what_is_read_is_no_older_than_its_age(ferry: Ferry, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row that the session had seen before is read anew."""
    monkeypatch.setattr(PersonReference, "fresh", SERVE)
    async with ferry.keeper.transaction() as session:
        seen = await PersonReference.find(session, KEY)
        await ferry.write(Person(person_id=KEY, full_name="Amal"))
        await hears(ferry)
        session.info.pop(STALE)
        read = await PersonReference.find(session, KEY)
        assert (read is seen, read is not None and read.full_name, STALE in session.info) == (True, "Amal", False)


async def test_at_least_a_version(ferry: Ferry) -> None:
    """NotYet until it is there, also for a row that the session had seen before; the tombstone of a version counts as it."""
    async with ferry.keeper.transaction() as session:
        here = await PersonReference.require(session, KEY)
        version = here.state_version
        assert await PersonReference.find(session, KEY, at_least=version) is here
        for read in (PersonReference.find, PersonReference.require):
            with pytest.raises(NotYet):
                await read(session, KEY, at_least=version + 1)
            with pytest.raises(NotYet):
                await read(session, UUID(int=8), at_least=1)
        await ferry.remove(KEY)
        await ferry.settle()
        assert await PersonReference.find(session, KEY, at_least=version + 1) is None
        with pytest.raises(NotFound):
            await PersonReference.require(session, KEY, at_least=version + 1)


def gate(handler: Callable[[VisitBegan, AsyncSession], Awaitable[None]]) -> Service:
    """A service that keeps the replica and hears of visits."""
    handlers = types.ModuleType("handlers_of_gate")
    handler.__module__ = handlers.__name__
    vars(handlers)["take_visit"] = on(VisitBegan)(handler)
    return replace(ledger, handlers=handlers)


async def take_visit(event: VisitBegan, session: AsyncSession) -> None:
    await session.execute(text("INSERT INTO visit VALUES (1)"))
    await PersonReference.require(session, event.person_id, at_least=event.version)


async def arrives(ferry: Ferry, service: Service, said: VisitBegan) -> None:
    subscription = next(each for each in service.subscriptions if each.name == "take_visit")
    await BatchProcessor(ferry.keeper, service, subscription, Failures(service)).process(deliveries_of([said]))


async def kept(ferry: Ferry) -> list[tuple[str, str | None]]:
    async with ferry.keeper.transaction() as session:
        rows = await session.execute(text("SELECT state, waits_key FROM backbone.failed_message"))
        return [(state, key) for state, key in rows]


@pytest.mark.parametrize("policy", [WAIT, REFUSE], ids=["wait", "refuse"])
async def test_a_message_that_reads_what_is_too_old(ferry: Ferry, monkeypatch: pytest.MonkeyPatch, policy: Fresh) -> None:
    """It is tried again later, without a transaction meanwhile, and takes effect once."""
    monkeypatch.setattr(PersonReference, "fresh", policy)
    service = gate(take_visit)
    await arrives(ferry, service, VisitBegan(person_id=KEY))
    assert (await kept(ferry), await visits(ferry)) == ([("retrying", None)], 0)
    await hears(ferry)
    async with ferry.keeper.transaction() as session:
        await session.execute(text("UPDATE backbone.failed_message SET due_at = now()"))
    await RetryLoop(ferry.keeper, service, Failures(service)).run_once()
    assert (await kept(ferry), await visits(ferry)) == ([], 1)


async def test_a_message_that_waits_for_a_version(ferry: Ferry) -> None:
    """Without a timer: it is woken by what arrives, and by a version that is too low it is not content."""
    service = gate(take_visit)
    async with ferry.keeper.transaction() as session:
        version = (await PersonReference.require(session, KEY)).state_version
    await arrives(ferry, service, VisitBegan(person_id=KEY, version=version + 2))
    for left, count in (([("waiting", str(KEY))], 0), ([], 1)):
        assert await kept(ferry) == [("waiting", str(KEY))]
        await ferry.write(Person(person_id=KEY, full_name="Amal"))
        await ferry.settle()
        await RetryLoop(ferry.keeper, service, Failures(service)).run_once()
        assert (await kept(ferry), await visits(ferry)) == (left, count)
