"""A command's answer says what it wrote, and another service's API waits for that before it answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import timedelta
from typing import Annotated, Any
from uuid import UUID, uuid4

import httpx
import pytest
from fastapi import Response
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from broker import Idempotent, NotFound, Principal, Reading, Router, Transaction, allow, open_to_everybody, refusal
from broker._tables import outbox
from broker.errors import RuleBroken
from tests.broker.asking import IMPATIENT, SETTINGS, bearer, client
from tests.broker.copying import Bed, Ferry, Person, PersonReference, Ward, WardReference, ferry_over, ledger, people


class PersonHasLeft(RuleBroken):
    """Nobody is moved who has left."""


owning, keeping = (Router(dependencies=[open_to_everybody()]) for _ in range(2))


@owning.post("/persons/{number}")
async def write_person(number: int, session: Transaction, key: Idempotent) -> None:
    session.add(Person(person_id=UUID(int=number), full_name="Nadia"))


@owning.delete("/persons/{number}", response_model=None)
async def remove_person(number: int, session: Transaction) -> Response | None:
    person = await session.get(Person, UUID(int=number))
    if person is None:
        return refusal(PersonHasLeft())
    await session.delete(person)
    return None


@owning.post("/crowds/{count}")
async def write_crowd(count: int, session: Transaction) -> None:
    session.add_all(Ward(id=f"W{number}", parts=[]) for number in (1, 2))
    session.add_all(Person(person_id=UUID(int=number + 1), full_name="Nadia") for number in range(count))


@owning.post("/wards/{code}")
async def write_ward(code: str, session: Transaction) -> None:
    session.add(Ward(id=code, parts=[Bed(ward=code, name="1")]))


@owning.post("/nothing")
async def write_nothing(session: Transaction) -> None:
    async with session.begin_nested() as savepoint:
        session.add(Person(person_id=UUID(int=1), full_name="Nadia"))
        await session.flush()
        await savepoint.rollback()


@owning.post("/failure")
async def fail(session: Transaction) -> None:
    session.add(Person(person_id=UUID(int=1), full_name="Nadia"))
    await session.flush()
    raise PersonHasLeft


@keeping.get("/persons/{number}")
async def show_person(number: int, session: Reading) -> str:
    person = await PersonReference.find(session, UUID(int=number))
    if person is None:
        raise NotFound
    return person.full_name


@keeping.get("/wards")
async def list_wards(session: Reading) -> list[str]:
    return list(await session.scalars(select(WardReference.id)))


@keeping.get("/beds")
async def list_beds(session: Reading, who: Annotated[Principal, allow("nurse", "cook")]) -> int:
    return 1


@keeping.post("/visits")
async def write_visit(session: Transaction) -> None:
    await session.execute(text("INSERT INTO visit VALUES (1)"))


@pytest.fixture
async def ferry(database: Callable[..., Awaitable[str]]) -> AsyncIterator[Ferry]:
    async with ferry_over(database) as ferry:
        async with ferry.keeper.engine.begin() as connection:
            await connection.execute(text("CREATE TABLE visit (number integer)"))
        yield ferry


@pytest.fixture
async def owner(ferry: Ferry) -> AsyncIterator[httpx.AsyncClient]:
    async with client(people, owning, SETTINGS, ferry.owner) as owner:
        yield owner


@pytest.fixture
async def keeper(ferry: Ferry) -> AsyncIterator[httpx.AsyncClient]:
    async with client(ledger, keeping, SETTINGS, ferry.keeper) as keeper:
        yield keeper


async def published(ferry: Ferry) -> list[str]:
    """The states in the outbox, as headers name them."""
    async with ferry.owner.transaction() as session:
        rows = await session.execute(select(outbox).order_by(outbox.c.position))
        return [f"{row.type};{row.key};{row.sequence}" for row in rows]


async def test_a_command_says_what_it_wrote(ferry: Ferry, owner: httpx.AsyncClient) -> None:
    """By type, key and version, as they are published; for what was deleted, too."""
    first = (await owner.post("/persons/7")).headers["X-Wrote"]
    last = (await owner.delete("/persons/7")).headers["X-Wrote"]
    assert [first, last] == await published(ferry)
    assert first.startswith(f"person.changed;{UUID(int=7)};")
    assert int(first.rpartition(";")[2]) < int(last.rpartition(";")[2])


async def test_who_writes_nothing_says_nothing(owner: httpx.AsyncClient, keeper: httpx.AsyncClient) -> None:
    """A refusal, a failure, what was undone by itself, a look."""
    answers = [
        await owner.delete("/persons/7"),
        await owner.post("/failure"),
        await owner.post("/nothing"),
        await keeper.get("/wards"),
    ]
    assert [answer.status_code for answer in answers] == [409, 409, 200, 200]
    assert all("X-Wrote" not in answer.headers for answer in answers)


async def test_an_answer_given_again_says_it_too(ferry: Ferry, owner: httpx.AsyncClient) -> None:
    """The same as the first time, although by then the aggregate has changed."""
    first = await owner.post("/persons/7", headers={"Idempotency-Key": "k"})
    await owner.delete("/persons/7")
    again = await owner.post("/persons/7", headers={"Idempotency-Key": "k"})
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.headers["X-Wrote"] == first.headers["X-Wrote"] == (await published(ferry))[0]


async def test_of_many_aggregates_the_last_of_each_type_is_named(ferry: Ferry, owner: httpx.AsyncClient) -> None:
    """Up to twenty are named each; beyond that, what comes last stands for all, and all is there once it is."""
    few = (await owner.post("/crowds/18")).headers["X-Wrote"]
    assert sorted(few.split(", ")) == sorted(await published(ferry))
    async with ferry.owner.transaction() as session:
        await session.execute(text("TRUNCATE persons, wards CASCADE"))
    await ferry.settle()
    many = (await owner.post("/crowds/19")).headers["X-Wrote"]
    [last_ward], last_person = [each for each in await published(ferry) if ";W2;" in each], (await published(ferry))[-1]
    assert sorted(many.split(", ")) == sorted([last_ward, last_person])


async def test_one_reads_ones_own_write(
    ferry: Ferry, owner: httpx.AsyncClient, keeper: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request that says what it wants to read after is answered once that has arrived, and not before."""
    wrote = (await owner.post("/persons/7")).headers["X-Wrote"]
    assert (await keeper.get("/persons/7")).status_code == 404
    looked, reading = asyncio.Event(), ferry.keeper.reading

    def watched() -> AbstractAsyncContextManager[AsyncSession]:
        looked.set()
        return reading()

    monkeypatch.setattr(ferry.keeper, "reading", watched)
    asking = asyncio.create_task(keeper.get("/persons/7", headers={"X-Read-After": wrote}))
    await looked.wait()
    await ferry.settle()
    assert (await asking).json() == "Nadia"


async def test_a_deletion_is_waited_for_too(ferry: Ferry, owner: httpx.AsyncClient) -> None:
    """Its tombstone has a version like any other state."""
    await owner.post("/persons/7")
    await ferry.settle()
    wrote = (await owner.delete("/persons/7")).headers["X-Wrote"]
    async with client(ledger, keeping, IMPATIENT, ferry.keeper) as keeper:
        assert (await keeper.get("/persons/7", headers={"X-Read-After": wrote})).status_code == 503
        await ferry.settle()
        assert (await keeper.get("/persons/7", headers={"X-Read-After": wrote})).status_code == 404


async def test_what_does_not_come_in_time(ferry: Ferry, owner: httpx.AsyncClient) -> None:
    """It is told as what it is, to be asked again; and nothing was done."""
    wrote = (await owner.post("/persons/7")).headers["X-Wrote"]
    async with client(ledger, keeping, IMPATIENT, ferry.keeper) as keeper:
        refused = await keeper.post("/visits", headers={"X-Read-After": wrote})
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
    told = refused.json()
    assert (told["type"], told["waits_for"]) == ("urn:nilecare:replica-lag", "person_reference")
    async with ferry.keeper.transaction() as session:
        assert await session.scalar(text("SELECT count(*) FROM visit")) == 0


async def test_every_version_is_waited_for(ferry: Ferry, owner: httpx.AsyncClient) -> None:
    """Several in one header, and several headers."""
    wrote = [(await owner.post(f"/persons/{number}")).headers["X-Wrote"] for number in (7, 8)]
    await ferry.fetch()
    await ferry.deliver()
    async with client(ledger, keeping, IMPATIENT, ferry.keeper) as keeper:
        one_by_one = [("X-Read-After", each) for each in wrote]
        assert (await keeper.get("/persons/7", headers=one_by_one)).status_code == 503
        assert (await keeper.get("/persons/7", headers={"X-Read-After": ", ".join(wrote)})).status_code == 503
        await ferry.settle()
        assert (await keeper.get("/persons/7", headers=one_by_one)).status_code == 200


async def test_keys_that_are_text(ferry: Ferry, owner: httpx.AsyncClient, keeper: httpx.AsyncClient) -> None:
    """Whatever they hold goes through a header."""
    wrote = (await owner.post("/wards/A%20b%3B%2C%C3%A4")).headers["X-Wrote"]
    await ferry.settle()
    assert (await keeper.get("/wards", headers={"X-Read-After": wrote})).json() == ["A b;,ä"]


async def test_what_the_service_keeps_no_copy_of(ferry: Ferry) -> None:
    """It is passed over: also by its own owner, who has it."""
    foreign = {"X-Read-After": f"invoice.changed;{uuid4()};5, guest.unheard;a;1"}
    async with client(ledger, keeping, IMPATIENT, ferry.keeper) as keeper:
        assert (await keeper.get("/wards", headers=foreign)).status_code == 200
    own = {"X-Read-After": f"person.changed;{UUID(int=7)};{10**9}"}
    async with client(people, owning, IMPATIENT, ferry.owner) as owner:
        assert (await owner.post("/persons/7", headers=own)).status_code == 200


@pytest.mark.parametrize(("roles", "status"), [((), 401), (("guard",), 403), (("cook",), 200)])
async def test_nothing_is_waited_for_on_behalf_of_strangers(ferry: Ferry, roles: tuple[str, ...], status: int) -> None:
    """Who would be refused anyway is refused at once, and learns nothing of what has arrived."""
    patient = replace(SETTINGS, replica_patience=timedelta(hours=1))
    wanted = "invoice.changed;a;1" if status == 200 else f"person.changed;{UUID(int=7)};1"
    headers = {"X-Read-After": wanted, "Authorization": bearer(*roles) if roles else ""}
    async with asyncio.timeout(10), client(ledger, keeping, patient, ferry.keeper) as keeper:
        assert (await keeper.get("/beds", headers=headers)).status_code == status


@pytest.mark.parametrize(
    "header",
    [
        "person.changed", "person.changed;a", f"person.changed;{UUID(int=1)};x", f"person.changed;{UUID(int=1)};-1",
        f"person.changed;{UUID(int=1)};{10**19}", "person.changed;nobody;1", "ward.changed;%FF;1",
        "ward.changed;a%00b;1",
        ",".join(["invoice.changed;a;1"] * 101),
    ],
)  # fmt: skip
async def test_malformed_headers(keeper: httpx.AsyncClient, header: str) -> None:
    """What no answer ever said is the client's problem."""
    refused: Any = await keeper.get("/wards", headers={"X-Read-After": header})
    assert (refused.status_code, refused.json()["detail"]) == (400, "X-Read-After is what an answer's X-Wrote was.")
