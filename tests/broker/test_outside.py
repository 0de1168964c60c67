"""Calls to the world outside: made after the commit, and whatever happens to them, their outcome takes effect once."""

from __future__ import annotations

import asyncio
import types
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from pydantic import BaseModel
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from broker import (
    LEAVE,
    SEND_AGAIN,
    DeclarationError,
    Later,
    Permanent,
    Service,
    StoppedBeforeCall,
    World,
    ask,
    call,
    clock,
    on,
    outside,
    publish,
    send_again,
)
from broker._calls import CallWorkers
from broker._context import Cause, caused_by, uuid7
from broker._database import Database, engine_for
from broker._delivery import Delivery
from broker._envelope import Envelope
from broker._failures import Failures
from broker._outside import DRY_RUN, IfUnknown, Outside, calls_in
from broker._replay import Retrier
from broker._trial import attempt
from broker.testing.scratch import Databases
from contracts.event import Event

DEADLINE = timedelta(seconds=5)


class Charge(BaseModel):
    """What is asked for."""

    amount: int


class Charged(BaseModel):
    """What came of it."""

    receipt: str


class ChargeDone(Event, name="charge.done", version=1, key="charge_id", publisher="till"):
    """A charge went through."""

    charge_id: str


@dataclass
class Provider:
    """The other side: what it was sent, in order, and how it behaves (an exception to raise, or what to wait for)."""

    sent: list[tuple[str, int]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    does: list[Callable[[], Awaitable[None]]] = field(default_factory=list)
    knows: list[bool] = field(default_factory=list)
    effects: list[str] = field(default_factory=list)
    effect_fails: list[Exception] = field(default_factory=list)

    async def charge(self, request: Charge, key: str, world: World) -> Charged:
        """Takes a charge."""
        self.sent.append((key, request.amount))
        if self.does:
            await self.does.pop(0)()
        return Charged(receipt=f"{world['shop']} {request.amount}")

    async def look_up(self, request: Charge, key: str, world: World) -> Charged | None:
        """Says what became of one."""
        self.asked.append(key)
        known = self.knows.pop(0) if self.knows else False
        return Charged(receipt=f"found {request.amount}") if known else None

    async def record(self, session: AsyncSession, request: Charge, outcome: Charged) -> None:
        """The effect."""
        if self.effect_fails:
            raise self.effect_fails.pop(0)
        publish(session, ChargeDone(charge_id=outcome.receipt))
        await session.flush()
        self.effects.append(outcome.receipt)

    def declare(self, if_unknown: IfUnknown, **options: Any) -> Outside[Charge, Charged]:
        """The call as a service declares it."""

        async def charge_card(request: Charge, key: str, world: World) -> Charged:
            return await self.charge(request, key, world)

        declared = outside(**{"deadline": DEADLINE, "if_unknown": if_unknown, **options})(charge_card)
        declared.then(self.record)
        declared.check("till")
        return declared


def raising(failure: BaseException) -> Callable[[], Awaitable[None]]:
    """A behaviour: it fails so."""

    async def behave() -> None:
        raise failure

    return behave


@pytest.fixture
async def till(database: Databases) -> AsyncIterator[Database]:
    """The caller's database."""
    engine = engine_for(await database())
    yield Database(engine, "till")
    await engine.dispose()


@pytest.fixture
def provider() -> Provider:
    """The other side."""
    return Provider()


def workers(database: Database, *calls: Outside[Any, Any]) -> CallWorkers:
    """The workers, so impatient that what is put off is due again in the next round."""
    return CallWorkers(database, calls, {"shop": "s1"}, first_pause=1e-6)


async def request(database: Database, declared: Outside[Charge, Charged], amount: int, key: str = "k") -> UUID:
    """Asks for a charge in a transaction of its own."""
    async with database.transaction() as session:
        return await call(session, declared, Charge(amount=amount), key=key)


async def rounds(some: CallWorkers, count: int = 1) -> None:
    """So many rounds, each to the end of the calls it took up."""
    for _ in range(count):
        await some.run_once()
        await some.idle()


def calls_in_hand() -> list[asyncio.Task[Any]]:
    """The tasks that make a call at this moment."""
    return [task for task in asyncio.all_tasks() if task.get_name().startswith("call ")]


async def value(database: Database, statement: str, **parameters: Any) -> Any:
    """What a statement gives first; its changes stay."""
    async with database.engine.begin() as connection:
        result = await connection.execute(text(statement), parameters)
        return result.scalar() if result.returns_rows else None


async def states(database: Database) -> list[str]:
    """The calls' states, in their order."""
    async with database.engine.connect() as connection:
        return list((await connection.execute(text("SELECT state FROM backbone.call ORDER BY position"))).scalars())


async def effects(database: Database) -> int:
    """How many effects were committed."""
    return int(await value(database, "SELECT count(*) FROM backbone.outbox"))


async def test_answered(till: Database, provider: Provider) -> None:
    """A call is made with its id as idempotency key, and its outcome takes effect in the flow that asked for it."""
    charge = provider.declare(SEND_AGAIN)
    cause = Cause(flow=uuid7(), message=uuid7())
    with caused_by(cause):
        id_ = await request(till, charge, 7)
    some = workers(till, charge)
    await rounds(some, 3)
    assert provider.sent == [(str(id_), 7)]
    assert provider.effects == ["s1 7"]
    assert await states(till) == ["answered"]
    assert await value(till, "SELECT flow FROM backbone.outbox") == cause.flow
    await some.close()


async def test_not_made_before_commit(till: Database, provider: Provider) -> None:
    """A call that a rolled back transaction asked for is never made."""
    charge = provider.declare(SEND_AGAIN)
    with pytest.raises(ZeroDivisionError):
        async with till.transaction() as session:
            await call(session, charge, Charge(amount=1), key="k")
            _ = 1 / 0
    await rounds(workers(till, charge))
    assert provider.sent == []


async def test_dry_run_stops(till: Database, provider: Provider) -> None:
    """A dry run ends where it would call out."""
    charge = provider.declare(SEND_AGAIN)
    async with till.lent() as session:
        session.sync_session.info[DRY_RUN] = True
        with pytest.raises(StoppedBeforeCall):
            await call(session, charge, Charge(amount=1), key="k")


async def test_trying_stops_before_a_call(till: Database, provider: Provider) -> None:
    """Trying a kept message goes well up to its call to the outside, names it, and asks for none."""
    charge = provider.declare(SEND_AGAIN)
    handlers = types.ModuleType("handlers_under_test")

    @on(ChargeDone)
    async def charge_again(event: ChargeDone, session: AsyncSession) -> None:
        publish(session, ChargeDone(charge_id="before"))
        await call(session, charge, Charge(amount=1), key="k")

    charge_again.__module__, handlers.charge_again = handlers.__name__, charge_again  # type: ignore[attr-defined]
    service = Service(name="till", port=0, handlers=handlers, contracts=types.ModuleType("contracts_under_test"))
    envelope = Envelope(
        id=uuid7(), type="charge.done", source="till", subject="c", version=1, sequence=1, flow=uuid7(), cause=None, trace=None,
        time=clock.now(), body=ChargeDone(charge_id="c").model_dump_json().encode(),
    )  # fmt: skip
    sent = envelope.properties("till")
    kept = Delivery(
        exchange="till", routing_key="charge.done", message_id=sent.message_id, headers=sent.headers or {}, body=envelope.body
    )
    async with till.transaction() as session:
        await Failures(service).record(session, service.subscriptions[0], kept, envelope, Later("busy"))
    position = await value(till, "SELECT position FROM backbone.failed_message")
    trial = await attempt(Retrier(till, service), position)
    assert (trial.result, trial.published, trial.stopped_before) == ("takes effect", {"charge.done": 1}, charge.name)
    assert await states(till) == []
    assert (await Retrier(till, service).retry(position)).result == "done"
    assert await states(till) == ["pending"]


async def test_sending_is_committed_first(till: Database, provider: Provider) -> None:
    """While a call is out, the database says so."""
    charge = provider.declare(SEND_AGAIN)
    seen: list[str] = []

    async def look() -> None:
        seen.extend(await states(till))

    provider.does = [look]
    await request(till, charge, 1)
    await rounds(workers(till, charge))
    assert seen == ["sending"]


async def test_an_unknown_outcome_has_an_end(till: Database, provider: Provider) -> None:
    """After so many attempts without an answer the call is over, with the outcome that was declared for that."""
    charge = provider.declare(send_again(at_most=3, then=Charged(receipt="nobody knows")))
    provider.does = [raising(TimeoutError()) for _ in range(5)]
    id_ = await request(till, charge, 1)
    await rounds(workers(till, charge), 6)
    assert (provider.sent, provider.effects) == ([(str(id_), 1)] * 3, ["nobody knows"])
    assert await states(till) == ["answered"]


async def test_what_kills_each_attempt_has_an_end_too(till: Database, provider: Provider) -> None:
    """A call that was being sent, again and again, when its process ended is not sent once more."""
    charge = provider.declare(send_again(at_most=3, then=Charged(receipt="nobody knows")))
    await request(till, charge, 1)
    await value(till, "UPDATE backbone.call SET state = 'sending', attempts = 3, due_at = now()")
    await rounds(workers(till, charge), 2)
    assert (provider.sent, provider.effects) == ([], ["nobody knows"])


@pytest.mark.parametrize("end", [{"at_most": 0, "then": Charged(receipt="x")}, {"at_most": 1, "then": Charge(amount=1)}])
def test_an_end_that_is_none(provider: Provider, end: dict[str, Any]) -> None:
    """It needs an attempt, and an outcome of the call's own kind."""
    with pytest.raises(DeclarationError, match="send_again"):
        provider.declare(send_again(**end))


async def test_one_key_in_order_others_at_once(till: Database, provider: Provider) -> None:
    """Calls of one key go one after the other, in order; those of other keys do not wait for them."""
    charge = provider.declare(SEND_AGAIN)
    gate, started = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        started.set()
        await gate.wait()

    provider.does = [hold]
    await request(till, charge, 1, "slow")
    some = workers(till, charge)
    await some.run_once()
    await started.wait()
    for amount, key in ((2, "slow"), (3, "other"), (4, "slow"), (5, "another")):
        await request(till, charge, amount, key)
    while len(provider.effects) < 2:
        await some.run_once()
        await asyncio.wait(calls_in_hand(), return_when=asyncio.FIRST_COMPLETED)
    assert sorted(amount for _, amount in provider.sent) == [1, 3, 5]
    gate.set()
    await some.idle()
    await rounds(some, 3)
    assert [amount for _, amount in provider.sent if amount in (1, 2, 4)] == [1, 2, 4]
    assert await effects(till) == 5


async def test_many_workers(till: Database, provider: Provider) -> None:
    """Several workers at once make each call once, each key in order."""
    charge = provider.declare(SEND_AGAIN)
    for amount in range(40):
        await request(till, charge, amount, f"k{amount % 4}")
    crowd = [workers(till, charge) for _ in range(3)]
    while await effects(till) < 40:
        await asyncio.gather(*(rounds(one) for one in crowd))
    assert len(provider.sent) == 40
    for key in range(4):
        mine = [amount for _, amount in provider.sent if amount % 4 == key]
        assert mine == sorted(mine)


@pytest.mark.parametrize("failure", [Later("busy"), httpx.ConnectError("refused")], ids=["later", "connect"])
async def test_not_sent(till: Database, provider: Provider, failure: Exception) -> None:
    """What surely was not done is tried again with the same idempotency key, whatever the policy."""
    charge = provider.declare(LEAVE)
    provider.does = [raising(failure), raising(failure)]
    await request(till, charge, 1)
    await rounds(workers(till, charge), 3)
    assert len({key for key, _ in provider.sent}) == 1
    assert (len(provider.sent), await effects(till)) == (3, 1)


async def test_put_off(till: Database, provider: Provider) -> None:
    """A call that failed rests before its next attempt."""
    charge = provider.declare(SEND_AGAIN)
    provider.does = [raising(Later("busy"))]
    await request(till, charge, 1)
    await rounds(CallWorkers(till, [charge], {"shop": "s1"}, first_pause=60), 3)
    assert len(provider.sent) == 1
    assert await states(till) == ["pending"]


async def test_asked_and_known(till: Database, provider: Provider) -> None:
    """An outcome that got lost is found by asking; the call is not made again."""
    charge = provider.declare(ask(provider.look_up))
    provider.does, provider.knows = [raising(httpx.ReadTimeout("lost"))], [True]
    await request(till, charge, 1)
    await rounds(workers(till, charge), 2)
    assert (len(provider.sent), provider.effects) == (1, ["found 1"])


async def test_asked_and_never_heard(till: Database, provider: Provider) -> None:
    """When the other side never heard of the call, it is made again under the same key."""
    charge = provider.declare(ask(provider.look_up))
    provider.does = [raising(ConnectionResetError())]
    await request(till, charge, 1)
    await rounds(workers(till, charge), 2)
    assert len(provider.sent) == 2
    assert {key for key, _ in provider.sent} == set(provider.asked)
    assert (await states(till), await effects(till)) == (["answered"], 1)


async def test_deadline_is_unknown(till: Database, provider: Provider) -> None:
    """A call that outlives its deadline is unknown, not failed."""
    charge = provider.declare(LEAVE, deadline=timedelta(milliseconds=50))
    provider.does = [asyncio.Event().wait]  # type: ignore[list-item]
    await request(till, charge, 1)
    await rounds(workers(till, charge), 1)
    assert await states(till) == ["unknown"]


async def test_left_unknown(till: Database, provider: Provider) -> None:
    """What can neither be asked nor repeated stays unknown, and later calls of its key wait for a person."""
    charge = provider.declare(LEAVE)
    provider.does = [raising(RuntimeError())]
    await request(till, charge, 1)
    await request(till, charge, 2)
    await request(till, charge, 3, "other")
    await rounds(workers(till, charge), 4)
    assert await states(till) == ["unknown", "pending", "answered"]
    assert len(provider.sent) == 2


async def test_given_up(till: Database, provider: Provider) -> None:
    """What the other side will never do is given up; later calls of the key go on."""
    charge = provider.declare(SEND_AGAIN)
    provider.does = [raising(Permanent("no such account"))]
    await request(till, charge, 1)
    await request(till, charge, 2)
    await rounds(workers(till, charge), 2)
    assert await states(till) == ["given_up", "answered"]


@pytest.mark.parametrize(
    ("policy", "sent", "asked", "state"), [("again", 1, 0, "answered"), ("ask", 0, 1, "answered"), ("leave", 0, 0, "unknown")]
)
async def test_after_a_crash(till: Database, provider: Provider, policy: str, sent: int, asked: int, state: str) -> None:
    """A call that was out when its process died is unknown once its deadline is over, and follows its policy."""
    provider.knows = [True]
    policies: dict[str, IfUnknown] = {"again": SEND_AGAIN, "ask": ask(provider.look_up), "leave": LEAVE}
    charge = provider.declare(policies[policy])
    await request(till, charge, 1)
    await value(till, "UPDATE backbone.call SET state = 'sending', attempts = 1, due_at = now() + interval '1 hour'")
    await rounds(workers(till, charge))
    assert (provider.sent, provider.asked) == ([], [])
    await value(till, "UPDATE backbone.call SET due_at = now()")
    await rounds(workers(till, charge), 2)
    assert (len(provider.sent), len(provider.asked)) == (sent, asked)
    assert await states(till) == [state]


@pytest.mark.parametrize(("fails", "kept"), [([], {}), ([Permanent("no")], {}), ([Later("busy")], {"amount": 5})])
async def test_forgotten_once_it_is_over(
    till: Database, provider: Provider, fails: list[Exception], kept: dict[str, int]
) -> None:
    """What was asked for stays as long as it may be needed again, and is gone when the call is over, however it ended."""
    declared = provider.declare(SEND_AGAIN, forget=True)
    provider.does = [raising(failure) for failure in fails]
    id_ = await request(till, declared, 5)
    await rounds(workers(till, declared))
    assert await value(till, "SELECT request FROM backbone.call WHERE id = :id", id=id_) == kept


async def test_effect_fails(till: Database, provider: Provider) -> None:
    """When the effect fails, the outcome is kept and the effect tried again; the call is not."""
    charge = provider.declare(LEAVE)
    provider.effect_fails = [RuntimeError(), RuntimeError()]
    await request(till, charge, 1)
    some = workers(till, charge)
    await rounds(some)
    assert await states(till) == ["received"]
    await rounds(some, 2)
    assert (len(provider.sent), await effects(till), await states(till)) == (1, 1, ["answered"])


async def test_taken_over(till: Database, provider: Provider) -> None:
    """A worker that was given up for dead and comes back has no effect: the one who took over has it."""
    charge = provider.declare(SEND_AGAIN)
    gate, started = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        started.set()
        await gate.wait()

    provider.does = [hold]
    await request(till, charge, 1)
    slow, quick = workers(till, charge), workers(till, charge)
    await slow.run_once()
    await started.wait()
    await value(till, "UPDATE backbone.call SET due_at = now()")
    await rounds(quick)
    gate.set()
    await slow.idle()
    assert await effects(till) == 1


async def test_started_and_stopped(till: Database, provider: Provider) -> None:
    """The loop makes calls by itself, and stopping it lets the one in hand finish."""
    charge = provider.declare(SEND_AGAIN)
    gate, started = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        started.set()
        await gate.wait()

    provider.does = [hold]
    some = workers(till, charge)
    await some.start()
    await request(till, charge, 1)
    await started.wait()
    stopping = asyncio.create_task(some.stop())
    gate.set()
    await stopping
    assert await effects(till) == 1


async def ring(request: Charge, key: str, world: World) -> Charged:
    """A call without any policy."""
    return Charged(receipt="")


async def nothing(session: AsyncSession, request: Charge, outcome: Charged) -> None:
    """An effect."""


def test_declarations() -> None:
    """A call that does not say what must be known is refused, with one sentence."""
    with pytest.raises(DeclarationError, match="till's call ring does not say what happens when its outcome is unknown"):
        outside(deadline=DEADLINE)(ring).check("till")
    with pytest.raises(DeclarationError, match=r"@ring\.then"):
        outside(deadline=DEADLINE, if_unknown=LEAVE)(ring).check("till")
    for options in ({"deadline": timedelta()}, {"keys_at_once": 0}):
        declared = outside(**{"deadline": DEADLINE, "if_unknown": LEAVE, **options})(ring)  # type: ignore[arg-type]
        declared.then(nothing)
        with pytest.raises(DeclarationError):
            declared.check("till")

    async def plain(request: dict[str, Any], key: str, world: World) -> str:
        return ""

    untyped: Outside[Any, Any] = outside(deadline=DEADLINE, if_unknown=LEAVE)(plain)
    untyped.then(nothing)
    with pytest.raises(DeclarationError, match="pydantic models"):
        untyped.check("till")


def test_found_in_module() -> None:
    """A module's calls are those declared in it."""
    module = types.ModuleType(__name__)
    module.ring = declared = outside(deadline=DEADLINE, if_unknown=LEAVE)(ring)  # type: ignore[attr-defined]
    assert calls_in(module) == [declared]


def test_world_names_what_is_missing() -> None:
    """An address that the process was not given is named, and secrets do not show."""
    world = World(httpx.AsyncClient(), {"secret": "abc"})
    assert world["secret"] == "abc"
    assert "abc" not in repr(world)
    with pytest.raises(DeclarationError, match="card_provider"):
        _ = world["card_provider"]
