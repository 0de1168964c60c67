"""A service tells operations of its failed messages, and does what is asked there: itself, and nobody else."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from joserfc import jwe
from joserfc.jwk import OKPKey
from sqlalchemy import event as sa_event
from sqlalchemy import insert, select, text, update

from broker import Permanent, clock
from broker._actions import history
from broker._operating import HEARD_OUT, SLOW, OperationLoop
from broker._publishing import lock_number
from broker._reporting import Reporter
from broker._requests import subscription_to_requests
from broker._tables import change, failed_message, operation, outbox, published
from contracts.backbone import FailedMessageChanged, FailureActionChanged, OperationAnswered
from contracts.event import Event
from contracts.operations import OperationRequested, OperationWithdrawn, Wanted
from tests.broker.failing import Desk, raising


async def said(desk: Desk, event: type[Event]) -> list[Any]:
    """What was published, in order."""
    query = select(outbox.c.body).where(outbox.c.type == event.contract.name).order_by(outbox.c.position)
    async with desk.database.transaction() as session:
        return [event.read(body, 1) for body in await session.scalars(query)]


async def told(desk: Desk, *, is_heard: bool = True) -> dict[str, FailedMessageChanged]:
    """What operations knows of the desk's failed messages, once all has been told."""
    reporter = Reporter(desk.database, "desk", is_heard=is_heard)
    while await reporter.run_once():
        pass
    newest: dict[str, FailedMessageChanged] = {}
    for event in await said(desk, FailedMessageChanged):
        assert event.state_version > getattr(newest.get(event.failed_message_id), "state_version", 0)
        newest[event.failed_message_id] = event
    return {key: event for key, event in newest.items() if not event.deleted}


async def test_operations_knows_what_is_there(desk: Desk) -> None:
    """Failing, holding, going through, discarding and restoring: the states told are those that are, without any body."""
    first = await desk.fail("a", 1, Permanent("never"))
    await desk.hold("a", 2)
    other = await desk.fail("b", 3, Permanent("never"))
    known = await told(desk)
    assert {key: event.state for key, event in known.items()} == {
        f"desk/{row.position}": row.state for row in await desk.rows()
    }
    assert "number" not in known[f"desk/{first}"].model_dump_json()
    await desk.retry(first)
    discarded = await desk.act("discard", positions=(other,))
    assert set(await told(desk)) == {f"desk/{row.position}" for row in await desk.rows()}
    await desk.run()
    assert await told(desk) == {}
    await desk.act("restore", positions=(other,))
    assert set(await told(desk)) == {f"desk/{other}"}
    actions = {event.action_id: event for event in await said(desk, FailureActionChanged)}
    assert actions[discarded.id].outcomes == {"discarded": 1}
    assert await desk.count(change) == 0


async def test_who_hears_for_the_first_time_is_told_all(desk: Desk) -> None:
    """Where nobody hears, what changes is forgotten; whoever comes later learns of everything that is there then."""
    await desk.fail("a", 1, Permanent("never"))
    assert await told(desk, is_heard=False) == {}
    assert (await desk.count(change), await desk.count(outbox)) == (0, 0)
    await desk.fail("b", 2, Permanent("never"))
    assert {event.aggregate for event in (await told(desk)).values()} == {"a", "b"}
    count = await desk.count(outbox)
    await told(desk)
    assert await desk.count(outbox) == count


async def test_telling_many_takes_no_more_statements(desk: Desk) -> None:
    """Nor does telling that they are gone: what was told is kept, and forgotten, in one statement for all."""
    statements: list[str] = []

    def note(*call: Any) -> None:
        statements.append(call[2])

    async def counted() -> int:
        statements.clear()
        sa_event.listen(desk.database.engine.sync_engine, "before_cursor_execute", note)
        await told(desk)
        sa_event.remove(desk.database.engine.sync_engine, "before_cursor_execute", note)
        return len(statements)

    await told(desk)
    positions = [await desk.fail("a", 1, Permanent("never"))]
    few = await counted()
    positions += [await desk.fail(f"b{number}", number, Permanent("never")) for number in range(20)]
    assert await counted() == few
    await desk.retry(positions[0])
    few = await counted()
    for position in positions[1:]:
        await desk.retry(position)
    assert await counted() == few
    assert await told(desk) == {}


async def test_only_one_copy_tells_at_a_time(desk: Desk) -> None:
    """Two would tell states of one message in the wrong order."""
    await desk.fail("a", 1, Permanent("never"))
    async with desk.database.transaction() as session:
        await session.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": lock_number("reporter")})
        assert not await Reporter(desk.database, "desk", is_heard=True).run_once()
    assert await desk.count(outbox) == 0


def requested(asked: str, **more: Any) -> OperationRequested:
    wanted = Wanted(**{name: more.pop(name) for name in list(more) if name in Wanted.model_fields})
    return OperationRequested(
        request_id=uuid4(), service="desk", operation=asked, asked_by="amani", why="repaired", wanted=wanted, **more
    )  # fmt: skip


async def answer(desk: Desk, request: OperationRequested) -> OperationAnswered:
    """What the desk answers, once it has heard the request, twice."""
    subscription = subscription_to_requests("desk")
    for _ in range(2):
        async with desk.database.transaction() as session:
            await subscription.handler(request, session)
    woken: list[None] = []
    loop = OperationLoop(desk.database, desk.retrier, lambda: woken.append(None))
    assert await loop.run_once()
    assert not await loop.run_once()
    answered: OperationAnswered = (await said(desk, OperationAnswered))[-1]
    assert answered.request_id == request.request_id
    assert len(woken) == (answered.refusal is None)
    return answered


async def test_what_is_asked_of_another_is_left_alone(desk: Desk) -> None:
    """Every service hears every request; the one that is meant answers."""
    async with desk.database.transaction() as session:
        await subscription_to_requests("desk").handler(requested("show").model_copy(update={"service": "lab"}), session)
    assert await desk.count(operation) == 0


async def test_a_message_is_shown_masked(desk: Desk) -> None:
    """Its failure, headers and past; of its body what no contract marks as personal."""
    position = await desk.fail("a", 1, Permanent("never"))
    async with desk.database.transaction() as session:
        await session.execute(update(failed_message).values(body=b'{"item":"a","number":1,"name":"Amina"}'))
    answered = await answer(desk, requested("show", positions=[position]))
    (message,) = (answered.answer or {})["messages"]
    assert (message["reason"], message["fingerprint"], message["key"]) == ("never", "Permanent", "a")
    assert json.loads(message["body"]) == {"item": "a", "number": 1, "name": "•••"}
    assert "Amina" not in answered.model_dump_json()


async def test_personal_data_is_sealed_and_who_saw_it_written_down(desk: Desk) -> None:
    """For the key of whoever asked alone; without a key it stays here."""
    position = await desk.fail("a", 1, Permanent("never"))
    key = OKPKey.generate_key("X25519")
    answered = await answer(desk, requested("reveal", positions=[position], reply_key=key.as_dict(private=False)))
    assert answered.answer is None
    assert '"number"' not in answered.model_dump_json()
    (message,) = json.loads(jwe.decrypt_compact(answered.sealed or "", key).plaintext or b"")["messages"]
    assert message["body"] == '{"item":"a","number":1}'
    async with desk.database.transaction() as session:
        (seen,) = await history(session, limit=10)
    assert (seen.verb, seen.asked_by, seen.why) == ("reveal", "amani", "repaired")
    refused = await answer(desk, requested("reveal", positions=[position]))
    assert (refused.sealed, refused.refusal) == (None, "Personal data is shown to a key: ask with one.")
    async with desk.database.transaction() as session:
        assert len(await history(session, limit=10)) == 1


async def test_trying_and_replaying(desk: Desk) -> None:
    """A trial changes nothing; a replay begins, and says under which id."""
    position = await desk.fail("a", 1, Permanent("never"))
    tried = await answer(desk, requested("try", positions=[position]))
    (trial,) = (tried.answer or {})["trials"]
    assert (trial["result"], trial["rows"]["effect"]["inserted"]) == ("takes effect", 1)
    assert await desk.effects("a") == []
    begun = await answer(desk, requested("replay", states=["dead"], canary=3, few=4, rate=9.5))
    action = await desk.look(UUID((begun.answer or {})["action_id"]))
    assert (action.total, action.asked_by, action.pace.canary, action.pace.few, action.pace.rate) == (1, "amani", 3, 4, 9.5)
    await desk.actions.run_once()
    assert await desk.effects("a") == [1]


async def test_discarding_restoring_editing_redirecting(desk: Desk) -> None:
    """Each is the engine's own; what it refuses is answered in its words."""
    position = await desk.fail("a", 1, Permanent("never"))
    edited = await answer(desk, requested("edit", positions=[position], body={"item": "•••", "number": 5}))
    assert edited.refusal is None
    assert (await desk.rows())[0].body == b'{"item":"a","number":5}'
    wrong = await answer(desk, requested("edit", positions=[position], body={"item": "a", "number": "many"}))
    assert "number (int_parsing)" in (wrong.refusal or "")
    assert "many" not in (wrong.refusal or "")
    discarded = await answer(desk, requested("discard", positions=[position]))
    await desk.actions.run_once()
    assert await desk.rows() == []
    action = UUID((discarded.answer or {})["action_id"])
    await answer(desk, requested("restore", action_id=action))
    await desk.actions.run_once()
    assert len(await desk.rows()) == 1
    refused = await answer(desk, requested("redirect", positions=[position], to="nowhere"))
    assert refused.refusal is not None
    assert (await answer(desk, requested("redirect", positions=[99], to="count"))).refusal is not None


async def test_stopping_and_going_on(desk: Desk) -> None:
    """A replay that runs is stopped, and goes on."""
    await desk.fail("a", 1, Permanent("never"))
    begun = await answer(desk, requested("replay"))
    action = UUID((begun.answer or {})["action_id"])
    for asked, state, done in (("stop", "stopped", True), ("stop", "stopped", False), ("resume", "running", True)):
        answered = await answer(desk, requested(asked, action_id=action))
        assert ((answered.answer or {})["done"], (await desk.look(action)).state) == (done, state)


async def test_what_became_of_each_message_is_shown(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of an action, in the order in which it takes them, page by page; or those alone that ended in one way."""
    monkeypatch.setattr("broker._operating.OUTCOMES", 2)
    positions = [await desk.fail(key, 1, Permanent("never")) for key in "abc"]
    begun = (await answer(desk, requested("discard", positions=positions))).answer or {}

    async def shown(**more: Any) -> list[tuple[int, int, str | None]]:
        told = await answer(desk, requested("show", action_id=UUID(begun["action_id"]), **more))
        return [(part["place"], part["position"], part["outcome"]) for part in (told.answer or {})["parts"]]

    assert await shown(outcome="left") == [(1, positions[0], None), (2, positions[1], None)]
    await desk.retry(positions[1])
    await desk.actions.run_once()
    assert await shown() == [(1, positions[0], "discarded"), (2, positions[1], "gone")]
    assert await shown(after=2) == [(3, positions[2], "discarded")]
    for place, more in ((0, True), (1, False)):
        told = await answer(desk, requested("show", action_id=UUID(begun["action_id"]), after=place))
        assert (told.answer or {})["more"] == more
    assert await shown(outcome="gone") == [(2, positions[1], "gone")]
    assert await shown(outcome="discarded", after=1) == [(3, positions[2], "discarded")]


async def test_what_nobody_waits_for_any_more_is_refused(desk: Desk) -> None:
    """A service that comes back late does not begin what was wanted in the night."""
    position = await desk.fail("a", 1, Permanent("never"))
    asked, second = requested("discard", positions=[position]), timedelta(seconds=1)
    late = await answer(desk, asked.model_copy(update={"until": clock.now() - second}))
    assert "was not: ask again" in (late.refusal or "")
    async with desk.database.transaction() as session:
        assert await history(session, limit=10) == []
    again = requested("discard", positions=[position])
    assert (await answer(desk, again.model_copy(update={"until": clock.now() + 60 * second}))).refusal is None
    async with desk.database.transaction() as session:
        (begun,) = await history(session, limit=10)
    assert (begun.verb, begun.total) == ("discard", 1)


async def test_what_was_long_on_its_way_may_be_withdrawn_still(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that was away hears out what came behind the request before it begins; others begin at once."""
    monkeypatch.setattr("broker._operating.LOOK", 0.001)
    position = await desk.fail("a", 1, Permanent("never"))
    loop = OperationLoop(desk.database, desk.retrier, lambda: None)
    slow = requested("discard", positions=[position]).model_copy(update={"asked_at": clock.now() - SLOW})
    async with desk.database.transaction() as session:
        await subscription_to_requests("desk").handler(slow, session)
    assert await loop.run_once()
    assert await desk.count(operation) == 1
    clock.shift += HEARD_OUT
    assert await loop.run_once()
    assert await desk.count(operation) == 0
    (answered,) = await said(desk, OperationAnswered)
    assert answered.refusal is None
    quick = requested("show", positions=[position]).model_copy(update={"asked_at": clock.now()})
    assert (await answer(desk, quick)).refusal is None


async def test_what_is_withdrawn_is_not_begun(desk: Desk) -> None:
    """Until it is begun: it is answered then, once, and what is withdrawn after that goes on."""
    position = await desk.fail("a", 1, Permanent("never"))
    take = subscription_to_requests("desk").handler
    loop = OperationLoop(desk.database, desk.retrier, lambda: None)

    async def hears(*said_: OperationRequested | OperationWithdrawn) -> None:
        async with desk.database.transaction() as session:
            for each in said_:
                await take(each, session)

    for together in (True, False):
        asked = requested("discard", positions=[position])
        back = OperationWithdrawn(request_id=asked.request_id, service="desk", withdrawn_by="baraka")
        elsewhere = back.model_copy(update={"service": "lab"})
        await (hears(asked, elsewhere, back, back) if together else hears(asked))
        if not together:
            await hears(back)
        assert not await loop.run_once()
        refused: OperationAnswered = (await said(desk, OperationAnswered))[-1]
        assert (refused.request_id, refused.refusal) == (asked.request_id, "baraka withdrew it before it was begun")
    assert len(await said(desk, OperationAnswered)) == 2
    begun = requested("discard", positions=[position])
    await answer(desk, begun)
    await hears(OperationWithdrawn(request_id=begun.request_id, service="desk", withdrawn_by="baraka"))
    await desk.actions.run_once()
    assert await desk.rows() == []
    assert len(await said(desk, OperationAnswered)) == 3


async def test_a_flow_is_told_without_what_messages_say(desk: Desk) -> None:
    """Published, handled, failed, scheduled and called: names and times."""
    position = await desk.fail("a", 1, Permanent("never"))
    flow = (await desk.rows())[0].flow
    answered = await answer(desk, requested("trace", flow=flow))
    known = answered.answer or {}
    assert [row["position"] for row in known["failed"]] == [position]
    assert set(known) == {"published", "handled", "failed", "scheduled", "called"}
    assert '"number"' not in answered.model_dump_json()
    await desk.retry(position)
    async with desk.database.transaction() as session:
        values = {"id": uuid4(), "position": 1, "type": "desk.counted", "key": "a", "sequence": 1, "flow": flow}
        await session.execute(insert(published).values(**values, occurred_at=clock.now(), subscriptions=[]))
    assert (await answer(desk, requested("trace", key="a"))).answer == {"flows": [str(flow)]}
    assert (await answer(desk, requested("trace", key="b"))).answer == {"flows": []}
    known = (await answer(desk, requested("trace", flow=flow))).answer or {}
    assert ([row["subscription"] for row in known["handled"]], known["failed"]) == (["count"], [])


async def test_what_nobody_foresaw_is_answered_too(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asked does not wait for ever; nothing of it is told but where to look."""
    monkeypatch.setattr("broker._operating.inspect", raising(KeyError("Amina")))
    answered = await answer(desk, requested("show", positions=[1]))
    assert answered.refusal is not None
    assert "see the service's log" in answered.refusal
    assert "Amina" not in answered.refusal
