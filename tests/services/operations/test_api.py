"""Operations over HTTP: what failed anywhere, and asking the service that it failed in."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID, uuid4

from sqlalchemy import func, select, update

from broker import clock
from contracts.backbone import FailureActionChanged, OperationAnswered
from contracts.operations import OperationRequested, OperationWithdrawn
from services.operations.rules import DONE_WITHIN, OPERATOR, PRIVACY_OFFICER, VIEWER
from services.operations.tables import OperationRequest
from tests.services.ehr.given import patient
from tests.services.kit import Workplace
from tests.services.operations.given import EARLIER, failed, invoice


async def test_what_failed_anywhere_is_listed_and_grouped(operations: Workplace) -> None:
    """Over all services, by reason; what went through meanwhile is gone."""
    for position in range(1, 4):
        await operations.arrive(failed("billing", position))
    await operations.arrive(
        failed(
            "lab",
            1,
            fingerprint="KeyError in services.lab.handlers.take",
            last_failed_at=clock.now(),
            first_failed_at=clock.now(),
        )
    )
    await operations.arrive(failed("billing", 3, version=2, deleted=True))
    async with operations.client(VIEWER, at=None) as viewer:
        groups = (await viewer.get("/failed-messages/groups")).json()
        assert [(each["service"], each["count"], each["last_hour"]) for each in groups] == [("billing", 2, 0), ("lab", 1, 1)]
        assert groups[0]["subscription"] == "allocate_payment"
        page = (await viewer.get("/failed-messages", params={"limit": 2})).json()
        assert [each["id"] for each in page["items"]] == ["billing/1", "billing/2"]
        rest = (await viewer.get("/failed-messages", params={"limit": 2, "cursor": page["next"]})).json()
        assert ([each["id"] for each in rest["items"]], rest["next"]) == (["lab/1"], None)
        of_lab = (await viewer.get("/failed-messages", params={"service": "lab", "state": "dead"})).json()
        assert [each["id"] for each in of_lab["items"]] == ["lab/1"]


async def test_a_service_is_asked_and_answers(operations: Workplace) -> None:
    """The request leaves as an event; the answer, when it comes, is for whoever asked."""
    asked = {
        "service": "billing", "operation": "replay", "why": "repaired", "canary": 2,
        "messages": {"fingerprint": "InvoiceIsClosed in here"},
    }  # fmt: skip
    async with operations.client(OPERATOR, at=None, subject="amani") as operator:
        request = (await operator.post("/requests", json=asked)).json()
        assert request["state"] == "asked"
        (said,) = await operations.published(OperationRequested)
        assert (said.service, said.operation, said.asked_by, said.why, said.canary) == (
            "billing",
            "replay",
            "amani",
            "repaired",
            2,
        )
        assert (said.wanted.fingerprint, said.wanted.states) == ("InvoiceIsClosed in here", ["dead"])
        foreign = OperationAnswered(request_id=said.request_id, service="lab", refusal="not ours")
        await operations.arrive(foreign)
        assert (await operator.get(f"/requests/{said.request_id}")).json()["state"] == "asked"
        await operations.arrive(OperationAnswered(request_id=said.request_id, service="billing", answer={"total": 3}))
        answered = (await operator.get(f"/requests/{said.request_id}")).json()
        assert (answered["state"], answered["answer"]) == ("answered", {"total": 3})
    async with operations.client(OPERATOR, at=None, subject="baraka") as other:
        assert (await other.get(f"/requests/{said.request_id}")).status_code == 404


async def test_what_is_asked_is_good_for_a_while(operations: Workplace) -> None:
    """The service is told until when; then, or when it is answered, it waits no more. What only looks is not listed."""
    replay = {"service": "billing", "operation": "replay", "why": "repaired"}
    async with operations.client(OPERATOR, at=None, subject="amani") as operator:
        first, second = [(await operator.post("/requests", json=replay)).json() for _ in range(2)]
        await operator.post("/requests", json={"service": "billing", "operation": "show"})
        said = {str(each.request_id): each.until for each in await operations.published(OperationRequested)}
        for request in (first, second):
            until = datetime.fromisoformat(request["until"])
            assert said[request["request_id"]] == until
            assert until - datetime.fromisoformat(request["asked_at"]) == DONE_WITHIN
        async with operations.client(VIEWER, at=None, subject="baraka") as viewer:
            waiting = (await viewer.get("/requests")).json()["items"]
            assert [each["request_id"] for each in waiting] == [first["request_id"], second["request_id"]]
            assert {(each["asked_by"], each["why"], each["operation"]) for each in waiting} == {("amani", "repaired", "replay")}
            answered = OperationAnswered(request_id=UUID(first["request_id"]), service="billing", answer={"total": 0})
            await operations.arrive(answered)
            assert len((await viewer.get("/requests")).json()["items"]) == 1
            clock.shift += DONE_WITHIN
            assert (await viewer.get("/requests")).json()["items"] == []


async def test_what_is_asked_can_be_withdrawn(operations: Workplace) -> None:
    """By whoever may ask for it, until the service answers; and the service is told."""
    discard = {"service": "billing", "operation": "discard", "why": "not ours"}
    async with operations.client(OPERATOR, at=None, subject="amani") as operator:
        request_id = (await operator.post("/requests", json=discard)).json()["request_id"]
    withdraw = f"/requests/{request_id}/withdraw"
    async with operations.client(VIEWER, at=None) as viewer:
        assert (await viewer.post(withdraw)).status_code == 403
        assert await operations.published(OperationWithdrawn) == []
    async with operations.client(OPERATOR, at=None, subject="baraka") as other:
        assert (await other.post(withdraw)).json()["withdrawn_by"] == "baraka"
        (said,) = await operations.published(OperationWithdrawn)
        assert (str(said.request_id), said.service, said.withdrawn_by) == (request_id, "billing", "baraka")
        await operations.arrive(OperationAnswered(request_id=said.request_id, service="billing", refusal="withdrawn"))
        assert (await other.post(withdraw)).status_code == 409
        assert (await other.post(f"/requests/{uuid4()}/withdraw")).status_code == 404


async def test_a_refusal_is_told(operations: Workplace) -> None:
    """In the words of the service."""
    async with operations.client(OPERATOR, at=None) as operator:
        asked = {"service": "billing", "operation": "edit", "why": "wrong", "messages": {"positions": [1]}, "body": {"a": 1}}
        request_id = (await operator.post("/requests", json=asked)).json()["request_id"]
        await operations.arrive(OperationAnswered(request_id=request_id, service="billing", refusal="it breaks its contract"))
        answered = (await operator.get(f"/requests/{request_id}")).json()
        assert (answered["state"], answered["refusal"]) == ("refused", "it breaks its contract")


async def test_roles_decide(operations: Workplace) -> None:
    """A viewer cannot replay, an operator cannot see personal data, and a role at one facility is none here."""
    replay = {"service": "billing", "operation": "replay", "why": "x"}
    reveal = {"service": "billing", "operation": "reveal", "why": "x", "messages": {"positions": [1]}}
    for role, asked, status in (
        (VIEWER, replay, 403), (OPERATOR, replay, 202), (PRIVACY_OFFICER, replay, 403),
        (VIEWER, reveal, 403), (OPERATOR, reveal, 403), (PRIVACY_OFFICER, reveal, 202),
        (VIEWER, {"service": "billing", "operation": "try"}, 202), (OPERATOR, replay | {"why": " "}, 409),
        (OPERATOR, {"service": "billing", "operation": "edit", "why": "x"}, 409),
    ):  # fmt: skip
        async with operations.client(role, at=None) as client:
            assert (await client.post("/requests", json=asked)).status_code == status, (role, asked)
    async with operations.client(OPERATOR, at=uuid4()) as local:
        assert (await local.get("/failed-messages/groups")).status_code == 403
    async with operations.client("clinician", at=None) as nobody:
        assert (await nobody.get("/failed-messages")).status_code == 403


async def test_answers_are_forgotten(operations: Workplace) -> None:
    """An hour later the next request sweeps them away; an answer that nobody waits for is dropped."""
    look = {"service": "billing", "operation": "show", "messages": {"positions": [1]}}
    async with operations.client(VIEWER, at=None) as viewer:
        first = (await viewer.post("/requests", json=look)).json()["request_id"]
        async with operations.transaction() as session:
            await session.execute(update(OperationRequest).values(asked_at=clock.now() - timedelta(hours=2)))
        await viewer.post("/requests", json=look)
        assert (await viewer.get(f"/requests/{first}")).status_code == 404
    await operations.arrive(OperationAnswered(request_id=first, service="billing", answer={}))
    async with operations.transaction() as session:
        assert await session.scalar(select(func.count()).select_from(OperationRequest)) == 1
    assert await operations.kept() == []


async def test_things_are_found_by_their_numbers(operations: Workplace) -> None:
    """An invoice's and a patient's; nothing else is said of them."""
    await operations.arrive(invoice("2026-000017"))
    await operations.arrive(patient(medical_record_number="M-17", full_name="Amal Haddad"))
    async with operations.client(VIEWER, at=None) as viewer:
        for number, kind, owner in (("2026-000017", "invoice", "billing"), ("M-17", "patient", "clinical")):
            reply = await viewer.get("/aggregates", params={"number": number})
            (found,) = reply.json()
            assert (found["kind"], found["owner"]) == (kind, owner)
            assert "Amal" not in reply.text
        assert (await viewer.get("/aggregates", params={"number": "nothing"})).json() == []


async def test_what_people_did_is_listed(operations: Workplace) -> None:
    """The latest first, as far as it is."""
    for version, outcomes in ((1, {"left": 2}), (2, {"took effect": 2})):
        await operations.arrive(
            FailureActionChanged(
                action_id=ACTION,
                service="billing",
                verb="replay",
                state="running",
                asked_by="amani",
                why="repaired",
                total=2,
                outcomes=outcomes,
                began_at=EARLIER,
                ended_at=None,
                state_version=version,
            )
        )
    async with operations.client(VIEWER, at=None) as viewer:
        (action,) = (await viewer.get("/failure-actions")).json()["items"]
    assert (action["asked_by"], action["outcomes"]) == ("amani", {"took effect": 2})


ACTION = uuid4()
