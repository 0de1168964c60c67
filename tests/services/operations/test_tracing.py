"""A flow is put together from what each service says of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from services.operations.pages.drawing import MOST, drawn
from services.operations.tracing import Flow, Said, publishers, put_together

AT = datetime(2026, 3, 1, 8, tzinfo=UTC)


def published(number: int, type_: str, *queues: str) -> dict[str, Any]:
    at = (AT + timedelta(seconds=number)).isoformat()
    return {"id": str(number), "type": type_, "key": "k", "cause": None, "occurred_at": at, "subscriptions": list(queues)}


def handled(number: int, subscription: str, milliseconds: int) -> dict[str, Any]:
    at = AT + timedelta(seconds=number, milliseconds=milliseconds)
    return {"id": str(number), "subscription": subscription, "handled_at": at.isoformat()}


def test_what_happened_stands_in_order() -> None:
    """Events by their time, whoever said them; each with who heard it, how long after."""
    told = {
        "payment": {"published": [published(2, "payment.succeeded", "billing.allocate")], "handled": [handled(1, "follow", 7)]},
        "billing": {"published": [published(1, "invoice.issued", "payment.follow")], "handled": [handled(2, "allocate", 9)]},
    }
    flow = put_together(told, [])
    assert [(said.service, said.type) for said in flow.said] == [
        ("billing", "invoice.issued"),
        ("payment", "payment.succeeded"),
    ]
    assert [heard.after for said in flow.said for heard in said.heard] == [timedelta(milliseconds=7), timedelta(milliseconds=9)]
    assert flow.is_over
    assert flow.services == ["billing", "payment"]


def test_what_is_open_is_seen() -> None:
    """On its way, failed, due later, called outside, or not known because a service is silent: then it is not over."""
    said = {"published": [published(1, "invoice.issued", "payment.follow", "ehr.note")]}
    failed = {"failed": [{"id": "1", "position": 5, "subscription": "follow", "state": "dead"}]}
    flow = put_together({"billing": said, "payment": failed, "ehr": {}}, [])
    assert [(heard.service, heard.state, heard.handle) for heard in flow.said[0].heard] == [
        ("ehr", "open", None), ("payment", "dead", "payment/5"),
    ]  # fmt: skip
    assert not flow.is_over
    due = {"scheduled": [{"name": "n", "type": "invoice.due", "key": "k", "due_at": AT.isoformat()}]}
    calls = [
        {"id": "c", "name": "charge", "key": "k", "state": state, "due_at": AT.isoformat()} for state in ("sending", "answered")
    ]
    waits = put_together({"billing": due, "payment": {"called": calls}}, [])
    assert [each.what for each in waits.waiting] == ["invoice.due", "call charge (sending)"]
    assert not waits.is_over
    assert not put_together({}, ["lab"]).is_over
    unheard = put_together({"billing": said}, ["payment", "ehr"])
    assert {heard.state for heard in unheard.said[0].heard} == {"not known"}
    assert put_together({}, []).is_over


def test_the_diagram_has_an_arrow_for_each_service_that_hears() -> None:
    """Not for whom hears itself; open ones look otherwise; more than can be seen are counted."""
    told = {"billing": {"published": [published(1, "invoice.issued", "payment.a", "payment.b", "billing.c", "ehr.d")]}}
    told |= {"payment": {"handled": [handled(1, "a", 1), handled(1, "b", 1)]}}
    diagram = drawn(put_together(told, []))
    assert [line.name for line in diagram.lines] == ["billing", "ehr", "payment"]
    assert sorted(arrow.state for arrow in diagram.arrows) == ["handled", "open"]
    many = Flow(
        [Said(AT, "billing", "x", "k", drawn_heard) for drawn_heard in [put_together(told, []).said[0].heard] * 100], [], [], []
    )
    assert (len(drawn(many).arrows), drawn(many).left) == (MOST, 200 - MOST)


def test_every_service_is_asked() -> None:
    """Those that have contracts of their own, and nothing else."""
    assert {"auth", "billing", "clinical", "ehr", "facility", "lab", "notification", "operations", "payment"} == set(
        publishers()
    )


def test_what_failed_is_told_without_a_journal_too() -> None:
    """A failed message whose event nobody says they published is of the flow all the same, and keeps it from being over."""
    row = {"id": "1", "position": 5, "subscription": "follow", "state": "dead", "type": "invoice.issued", "key": "k"}
    told = {"payment": {"failed": [row | {"last_failed_at": AT.isoformat()}]}}
    flow = put_together(told, [])
    assert [(each.handle, each.type, each.state, each.at) for each in flow.failed] == [
        ("payment/5", "invoice.issued", "dead", AT)
    ]
    assert not flow.is_over
    said = {"billing": {"published": [published(1, "invoice.issued", "payment.follow")]}}
    assert put_together(told | said, []).failed == []
