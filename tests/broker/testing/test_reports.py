"""What a failing test of a flow tells: each bad test says what is wrong with it, and shows the flow."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.broker.testing import bad_tests

BAD = Path(bad_tests.__file__)
ROOT = BAD.parents[3]
LOOPS = "asyncio_default_fixture_loop_scope"
CONFTEST = "from tests.broker.testing.conftest import *\n"

TOLD: Mapping[str, tuple[str, ...]] = {
    "test_an_event_is_missing": (
        "order.cancelled by till is to be published: the flow is over",
        "order.placed  by till  +",
        "└─ parcel.packed  by store",
        "till.note_what_is_packed: took effect +",
        "✗ order.cancelled by till is to be published   ◀ missing",
    ),
    "test_an_event_is_surplus": ("parcel.packed was published 2 times, not 1", "◀ one too many"),
    "test_an_event_must_not_be": ("parcel.packed with that article was published, and must not be", "◀ must not be"),
    "test_a_dead_letter": (
        "order.placed in store.pack is a dead letter: Permanent: it is sold out",
        "└─ store.pack: is a dead letter: Permanent: it is sold out   ◀ not expected",
        "tests.broker.testing.shop.store.app.pack, line",
    ),
    "test_no_dead_letter": ("no dead letter for Permanent in store.pack",),
    "test_a_message_is_held": (
        "order.cancelled in store.unpack is held behind order.cancelled",
        "which is a dead letter: Permanent: it has no shelf",
    ),
    "test_a_message_waits": (
        "parcel.packed is to be published: order.placed in store.pack waits for customer_reference",
        "and nothing is under way",
    ),
    "test_a_plan_is_not_declared": ("parcel.overdue waits for its time (in 30 days)", "planned by store, due in 30 days"),
    "test_nobody_subscribes": ("no subscription of till was bound to it when it was sent; bound were: store.pack",),
    "test_a_service_is_down": ("order.placed lies in store.pack, and store is not running",),
    "test_a_subscription_never_answers": ("nothing changed for 3 s", "the handler of store.pack has it in hand"),
    "test_a_message_is_lost": ("nothing changed for 3 s", "store.pack is empty: the message is lost"),
    "test_an_answer_is_lost": ("that a parcel was fetched",),
    "test_a_flow_of_its_own": ("the command began a flow of its own",),
    "test_something_else_fails": ("flow 0", "store.pack: took effect"),
    "test_names_that_are_not": ("'store.costumer_reference' is not one replica of these: store.customer_reference",),
}


def test_bad_tests_say_what_is_wrong(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each for its own reason; the good one passes, and what came after the end of a flow fails the run."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(test_bad=BAD.read_text())
    diagrams = pytester.path / "diagrams"
    options = [
        "-o",
        "asyncio_mode=auto",
        "-o",
        f"{LOOPS}=session",
        "-o",
        "flow_deadline=3",
        "--flow-diagrams",
        str(diagrams),
        "-p",
        "no:cacheprovider",
        "-p",
        "no:schemathesis",
    ]
    result = pytester.runpytest_subprocess(*options, "--tb=short", timeout=110)
    result.assert_outcomes(passed=2, failed=len(TOLD), errors=1)
    printed = result.stdout.str()
    for name, told in TOLD.items():
        [report] = re.findall(rf"_ {name} _+\n(.*?)(?=\n___|\n===)", printed, re.DOTALL)
        for each in told:
            assert each in report, f"{name} does not say {each!r}:\n{report}"
    assert re.search(r"2 events came after the end of the flow \S+ of .*test_an_event_comes_late", printed)
    assert (diagrams / "test-bad-py--test-an-event-is-missing.mmd").read_text().startswith("sequenceDiagram")
