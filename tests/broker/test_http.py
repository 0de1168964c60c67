"""The HTTP side of a service, over a small sample service and a real database."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from fastapi import APIRouter, FastAPI, Response
from sqlalchemy import select, text, update
from structlog.testing import capture_logs

from broker import (
    DeclarationError,
    Idempotent,
    Router,
    Service,
    Settings,
    Transaction,
    allow,
    allow_everywhere,
    open_to_everybody,
    publish,
    refusal,
)
from broker._database import Database, engine_for
from broker._http import PREFIX, application, routes_of
from broker._idempotency import IdempotencyPurge
from broker._tables import idempotency, outbox
from broker._tokens import issue_token, key_set_of, new_key
from broker.testing.scratch import Databases
from tests.broker.ward import ELSEWHERE, HERE, BedBooked, BedIsTaken, ward, ward_database

KEY, OLD_KEY, STRANGE_KEY = new_key(), new_key(), new_key()
SETTINGS = Settings(database_url="", amqp_url="", key_set=key_set_of(OLD_KEY, KEY))
PERSONAL = "Jane Doe"


def token(key: Any = KEY, *, roles: tuple[str, ...] = ("nurse",), minutes: float = 5, here: bool = True) -> dict[str, str]:
    issued = issue_token(
        key, subject="n1", roles=roles, facilities=[HERE] if here else None, lifetime=timedelta(minutes=minutes)
    )
    return {"Authorization": f"Bearer {issued}"}


@pytest.fixture
async def store(database: Databases) -> AsyncIterator[Database]:
    store = await ward_database(await database())
    yield store
    await store.close()


@pytest.fixture
def app(store: Database) -> FastAPI:
    return application(ward, SETTINGS, store)


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://ward", headers=token()) as client:
        yield client


def asked(name: str = "bed", **more: Any) -> dict[str, Any]:
    return {"facility_id": str(HERE), "name": name, **more}


async def count(store: Database, table: str) -> int:
    async with store.engine.connect() as connection:
        return int((await connection.execute(text(f"SELECT count(*) FROM {table}"))).scalar_one())


def problem(response: httpx.Response, status: int) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = response.json()
    assert document["status"] == status
    assert document["title"]
    assert PERSONAL not in response.text
    return document


async def test_every_route_is_closed(app: FastAPI, client: httpx.AsyncClient) -> None:
    """No route of the API answers a request without a token."""
    for route in routes_of(ward):
        for method in route.methods or ():
            path = PREFIX + route.path.replace("{booking_id}", str(uuid4()))
            response = await client.request(method, path, headers={"Authorization": ""}, json={})
            problem(response, 401)


@pytest.mark.parametrize(
    "headers",
    [
        token(STRANGE_KEY),
        token(minutes=-5),
        {"Authorization": "Bearer nonsense"},
        {"Authorization": "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJuMSJ9."},
        {"Authorization": "Basic bjE6bjE="},
    ],
    ids=["strange key", "expired", "nonsense", "unsigned", "basic"],
)
async def test_bad_tokens(client: httpx.AsyncClient, headers: dict[str, str]) -> None:
    """A token that is expired, malformed, unsigned or signed by somebody else is refused, with nothing said about why."""
    document = problem(await client.get("/api/v1/bookings", headers=headers), 401)
    assert document["detail"] == "A valid token is needed."


async def test_keys_overlap(client: httpx.AsyncClient) -> None:
    """Tokens signed with the old and with the new key are both good while both keys are published."""
    for key in (OLD_KEY, KEY):
        assert (await client.get("/api/v1/bookings", headers=token(key))).status_code == 200


async def test_no_keys(store: Database) -> None:
    """A service that was given no keys refuses every token."""
    app = application(ward, Settings(database_url="", amqp_url=""), store)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://ward") as client:
        problem(await client.get("/api/v1/bookings", headers=token()), 401)


async def test_roles(client: httpx.AsyncClient) -> None:
    """A good token without the role is told which role is needed."""
    document = problem(await client.get("/api/v1/bookings", headers=token(roles=("cook",))), 403)
    assert "nurse" in document["detail"]


@pytest.mark.parametrize("headers", [{}, {"Idempotency-Key": "k1"}], ids=["once", "sent again"])
async def test_a_role_that_has_to_count_everywhere(store: Database, headers: dict[str, str]) -> None:
    """What all facilities share is for who has the role at every one, also when what they once did is asked for again."""
    router = Router()

    @router.post("/rules", dependencies=[allow_everywhere("nurse")])
    async def write_rules(key: Idempotent) -> int:
        return 1

    app = application(replace(ward, api=router), SETTINGS, store)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=f"http://ward{PREFIX}") as client:
        assert (await client.post("/rules", headers=token(here=False) | headers)).json() == 1
        document = problem(await client.post("/rules", headers=token(here=True) | headers), 403)
        assert document["type"] == "urn:nilecare:rule:RoleMustCountEverywhere"
        document = problem(await client.post("/rules", headers=token(roles=("cook",), here=False) | headers), 403)
        assert "nurse" in document["detail"]
        problem(await client.post("/rules", headers=headers), 401)


async def test_a_proof_of_another_kind(client: httpx.AsyncClient) -> None:
    """A webhook passes by its own proof and not without."""
    problem(await client.post("/api/v1/webhook"), 401)
    assert (await client.post("/api/v1/webhook", headers={"signature": "genuine"})).json() == {"taken": True}


async def test_facilities(client: httpx.AsyncClient) -> None:
    """A token for one facility never sees another's things: not by id, not in a list, not by writing."""
    made = await client.post("/api/v1/bookings", json=asked(facility_id=str(ELSEWHERE)), headers=token(here=False))
    assert made.status_code == 201
    problem(await client.get(f"/api/v1/bookings/{made.json()['id']}"), 404)
    problem(await client.post("/api/v1/bookings", json=asked(facility_id=str(ELSEWHERE))), 404)
    assert (await client.get("/api/v1/bookings")).json()["items"] == []
    assert len((await client.get("/api/v1/bookings", headers=token(here=False))).json()["items"]) == 1


async def test_committed_before_answered(client: httpx.AsyncClient, store: Database) -> None:
    """When the reply comes, the change and its event are committed, in the flow that the reply names."""
    flow = uuid4()
    parent = f"00-{uuid4().hex}-00f067aa0ba902b7-01"
    headers = {"X-Correlation-ID": str(flow), "traceparent": parent}
    response = await client.post("/api/v1/bookings", json=asked(), headers=headers)
    assert response.headers["x-correlation-id"] == str(flow)
    async with store.engine.connect() as connection:
        row = (await connection.execute(select(outbox))).one()
    assert (row.key, row.flow, row.trace) == (response.json()["id"], flow, parent)


async def test_a_broken_rule_undoes(client: httpx.AsyncClient, store: Database) -> None:
    """A broken rule becomes a problem by its name with its facts, and nothing of the request stays."""
    document = problem(await client.post("/api/v1/bookings", json=asked("taken")), 409)
    assert document["type"] == "urn:nilecare:rule:BedIsTaken"
    assert document["title"] == "A bed is booked once."
    assert UUID(document["bed"])
    assert await count(store, "booking") == await count(store, "backbone.outbox") == 0


async def test_what_nobody_foresaw(client: httpx.AsyncClient, store: Database) -> None:
    """An unforeseen error is answered with an id alone; the log has that id and where it was, and not what it said."""
    with capture_logs() as logs:
        document = problem(await client.post("/api/v1/bookings", json=asked(PERSONAL)), 500)
    assert set(document) == {"type", "title", "status", "id"}
    (entry,) = logs
    assert entry["error_id"] == document["id"]
    assert entry["error"] == "RuntimeError"
    assert entry["route"] == "/bookings"
    assert PERSONAL not in json.dumps(entry, default=str)
    assert await count(store, "booking") == 0


@pytest.mark.parametrize(
    ("body", "field", "error"),
    [
        ({"name": "bed"}, "body.facility_id", "missing"),
        (asked(facility_id=PERSONAL), "body.facility_id", "uuid_parsing"),
        (asked(booked_at=PERSONAL), "body.booked_at", "datetime_from_date_parsing"),
        (asked(nights=PERSONAL), "body.nights", "int_parsing"),
        (asked(colour=PERSONAL), "body.colour", "extra_forbidden"),
        ([PERSONAL], "body", "model_attributes_type"),
    ],
)
async def test_invalid_bodies(client: httpx.AsyncClient, body: Any, field: str, error: str) -> None:
    """A request that is not valid is told which fields are wrong and how, and never what they held."""
    document = problem(await client.post("/api/v1/bookings", json=body), 422)
    assert {"field": field, "error": error}.items() <= document["errors"][0].items()


@pytest.mark.parametrize(
    ("content", "status"),
    [(b'{"name": "Jane Doe', 422), (b"\xff\xfe Jane Doe", 400), (b"[" * 200_000, 400), (b" " * (1024 * 1024 + 1), 413)],
    ids=["cut off", "not utf-8", "too deep", "too large"],
)
async def test_bodies_that_are_not_json(client: httpx.AsyncClient, content: bytes, status: int) -> None:
    """A body that is cut off, not text, nested too deep or too large is a problem of the client's, with nothing quoted."""
    response = await client.post("/api/v1/bookings", content=content, headers={"content-type": "application/json"})
    problem(response, status)


@pytest.mark.parametrize("body", [asked(nights=2**40), asked("a\0b")], ids=["number too large", "null character"])
async def test_values_that_the_database_refuses(client: httpx.AsyncClient, body: Any) -> None:
    """A value that no column can hold is the client's problem."""
    problem(await client.post("/api/v1/bookings", json=body), 422)


async def test_a_conflict_with_what_is_there(client: httpx.AsyncClient) -> None:
    """A unique constraint that nobody caught is a conflict that quotes nothing."""
    body = asked("Jane D.")
    await client.post("/api/v1/bookings", json=body)
    response = await client.post("/api/v1/bookings", json=body)
    assert "Jane" not in response.text
    problem(response, 409)


async def test_unknown_addresses(client: httpx.AsyncClient) -> None:
    """Unknown paths and methods are problems too."""
    problem(await client.get("/nowhere"), 404)
    assert problem(await client.patch("/api/v1/bookings"), 405)
    problem(await client.get(f"/api/v1/bookings/{uuid4()}"), 404)


async def test_reading_only_reads(client: httpx.AsyncClient, store: Database) -> None:
    """A session for reading writes nothing, whoever tries."""
    await client.post("/api/v1/bookings", json=asked())
    problem(await client.delete("/api/v1/bookings"), 500)
    assert await count(store, "booking") == 1


async def test_no_database(client: httpx.AsyncClient, app: FastAPI) -> None:
    """Without a database commands are refused for now, and the service says that it is not ready but alive."""
    gone = Database(engine_for("postgresql://nobody@127.0.0.1:1/none"), "ward")
    without = application(ward, SETTINGS, gone)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(without), base_url="http://w", headers=token()) as lost:
        assert problem(await lost.post("/api/v1/bookings", json=asked()), 503)["type"] == "urn:nilecare:later"
        problem(await lost.get("/health/ready"), 503)
        problem(await lost.get("/health/messaging"), 503)
        assert (await lost.get("/health/live")).status_code == 200
        assert "nilecare_database_up 0.0" in (await lost.get("/metrics")).text
    await gone.close()


@pytest.mark.parametrize("newest_first", [True, False])
async def test_pages(client: httpx.AsyncClient, store: Database, newest_first: bool) -> None:
    """All pages together are the list, each row once and in order, also when rows come in between."""
    for number in range(25):
        await client.post("/api/v1/bookings", json=asked(f"bed {number:02}", nights=number % 3))
    seen: list[str] = []
    cursor: str | None = None
    while True:
        params = {"limit": 4, "newest_first": newest_first} | ({"cursor": cursor} if cursor else {})
        page = (await client.get("/api/v1/bookings", params=params)).json()
        assert len(page["items"]) <= 4
        seen += [item["name"] for item in page["items"]]
        if newest_first:
            await client.post("/api/v1/bookings", json=asked(f"later than {cursor}"))
        cursor = page["next"]
        if cursor is None:
            break
    by_nights = sorted((f"bed {number:02}" for number in range(25)), key=lambda name: (int(name[4:]) % 3, name))
    assert seen == ([f"bed {number:02}" for number in reversed(range(25))] if newest_first else by_nights)


@pytest.mark.parametrize(
    "params",
    [{"limit": 0}, {"limit": 201}, {"cursor": "x"}, {"cursor": "WzFd"}, {"cursor": "é"}, {"cursor": "WyJhIiwxLCJiIl0"}],
)
async def test_bad_pages(client: httpx.AsyncClient, params: dict[str, Any]) -> None:
    """A limit out of 1 to 200 or a cursor that this list did not give is not valid."""
    assert problem(await client.get("/api/v1/bookings", params=params), 422)["errors"][0]["field"] in {
        "query.limit",
        "query.cursor",
    }


async def test_sent_again(client: httpx.AsyncClient, store: Database) -> None:
    """A request sent again with its key gets the first reply and has one effect."""
    again = {"Idempotency-Key": "k1"}
    replies = [await client.post("/api/v1/bookings", json=asked(), headers=again) for _ in range(3)]
    assert {reply.status_code for reply in replies} == {201}
    assert len({reply.content for reply in replies}) == 1
    assert "idempotency-replayed" in replies[1].headers
    assert await count(store, "booking") == await count(store, "backbone.outbox") == 1


async def test_sent_at_the_same_time(client: httpx.AsyncClient, store: Database) -> None:
    """Of requests with one key at one time one has its effect, and all get its reply."""
    again = {"Idempotency-Key": "k1"}
    replies = await asyncio.gather(*(client.post("/api/v1/bookings", json=asked(), headers=again) for _ in range(4)))
    assert {(reply.status_code, reply.content) for reply in replies} == {(201, replies[0].content)}
    assert await count(store, "booking") == 1


async def test_a_key_for_something_else(client: httpx.AsyncClient, store: Database) -> None:
    """A key that was used for another body is refused."""
    again = {"Idempotency-Key": "k1"}
    await client.post("/api/v1/bookings", json=asked(), headers=again)
    problem(await client.post("/api/v1/bookings", json=asked("another"), headers=again), 422)
    assert await count(store, "booking") == 1


async def test_a_key_after_a_failure(client: httpx.AsyncClient, store: Database) -> None:
    """A request that failed leaves its key free."""
    again = {"Idempotency-Key": "k1"}
    problem(await client.post("/api/v1/bookings", json=asked("taken"), headers=again), 409)
    assert (await client.post("/api/v1/bookings", json=asked(), headers=again)).status_code == 201


async def test_a_key_without_its_role(client: httpx.AsyncClient) -> None:
    """Who lost the role does not get the reply that the role once got."""
    again = {"Idempotency-Key": "k1"}
    await client.post("/api/v1/bookings", json=asked(), headers=again)
    problem(await client.post("/api/v1/bookings", json=asked(), headers=again | token(roles=("cook",))), 403)


async def test_old_replies_are_forgotten(client: httpx.AsyncClient, store: Database) -> None:
    """Replies past their time are purged, and only those."""
    for key in ("old", "new"):
        await client.post("/api/v1/bookings", json=asked(key), headers={"Idempotency-Key": key})
    async with store.engine.begin() as connection:
        old = idempotency.c.key == "old"
        await connection.execute(update(idempotency).where(old).values(created_at=text("now() - interval '4 days'")))
    assert await IdempotencyPurge(store.engine, at_once=1).run_once()
    async with store.engine.connect() as connection:
        assert list(await connection.scalars(select(idempotency.c.key))) == ["new"]


async def test_openapi(client: httpx.AsyncClient) -> None:
    """The OpenAPI document names the token's scheme on each route, and problems for what can go wrong."""
    document = (await client.get("/api/v1/openapi.json")).json()
    operation = document["paths"]["/api/v1/bookings"]["post"]
    assert operation["security"] == [{"token": []}]
    assert document["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
    for status in ("401", "403", "409", "422", "500"):
        schema = operation["responses"][status]["content"]["application/problem+json"]["schema"]
        assert schema == {"$ref": "#/components/schemas/Problem"}
    assert "title" in document["components"]["schemas"]["Problem"]["properties"]
    assert "HTTPValidationError" not in document["components"]["schemas"]


async def test_health_and_metrics(client: httpx.AsyncClient, store: Database) -> None:
    """A service with its database is ready, and its metrics tell what waits."""
    await client.post("/api/v1/bookings", json=asked())
    assert (await client.get("/health/live", headers={})).status_code == 200
    assert (await client.get("/health/ready")).json() == {"status": "ready"}
    assert (await client.get("/health/messaging")).json()["outbox"]["events"] == 1
    told = (await client.get("/metrics")).text
    assert "nilecare_outbox_depth_events 1.0" in told


async def test_a_database_without_migrations(client: httpx.AsyncClient, store: Database) -> None:
    """A service whose database lacks migrations is not ready."""
    async with store.engine.begin() as connection:
        await connection.execute(text("DROP TABLE backbone_version"))
    assert "migrations" in problem(await client.get("/health/ready"), 503)["detail"]


def _open() -> APIRouter:
    router = APIRouter()

    @router.get("/open")
    async def open_() -> None: ...

    return router


async def test_a_route_may_be_left_open_on_purpose(store: Database) -> None:
    """It says so, and answers whoever asks; what it refuses by returning it, it does all the same."""
    router = Router()

    @router.post("/knock", dependencies=[open_to_everybody()], response_model=None)
    async def knock(session: Transaction) -> Response:
        publish(session, BedBooked(booking_id=uuid4()))
        return refusal(BedIsTaken(bed=1))

    app = application(replace(ward, api=router), SETTINGS, store)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://ward") as nobody:
        refused = problem(await nobody.post(f"{PREFIX}/knock"), 409)
    assert (refused["type"], refused["bed"]) == ("urn:nilecare:rule:BedIsTaken", "1")
    assert await count(store, "backbone.outbox") == 1


def _no_router() -> APIRouter:
    router = APIRouter()

    @router.post("/twice", dependencies=[allow()])
    async def twice(key: Idempotent) -> None: ...

    return router


@pytest.mark.parametrize(
    ("router", "says"), [(_open(), "open to everybody"), (_no_router(), "Router")], ids=["open", "no router"]
)
def test_refused_at_start(router: APIRouter, says: str) -> None:
    """A route that is open, or that cannot keep its promise about keys, is refused when the service starts."""
    service = Service(name="ward", port=1, api=router, trusts_auth=False, contracts=ward.contracts)
    with pytest.raises(DeclarationError, match=says):
        application(service, SETTINGS, None)  # type: ignore[arg-type]  # refused before it is used
