"""The states of orders, their tests, samples and results, and how they follow from each other."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from broker import LifeCycle
from services.lab.errors import OrderCannotBecome, OrderHasResultsAlready, ResultCannotBecome, SampleCannotBecome

OrderStatus = Literal["draft", "ordered", "collected", "in_process", "partial", "completed", "on_hold", "cancelled"]
SampleStatus = Literal["collected", "in_transit", "received", "accepted", "rejected", "stored", "disposed"]
ResultStatus = Literal["preliminary", "final", "corrected", "cancelled"]
TestStatus = Literal["pending", "resulted", "recollected", "cancelled"]
"""Of one test of an order; a recollected one went on to the order for a new sample."""

ORDER = LifeCycle[OrderStatus](
    {
        "draft": {"ordered", "cancelled"},
        "ordered": {"collected", "on_hold", "cancelled"},
        "collected": {"in_process", "on_hold", "cancelled"},
        "in_process": {"partial", "completed", "on_hold", "cancelled"},
        "partial": {"completed", "on_hold"},
        # From here only `order_resumed` leads back, and to nowhere but the state it was put on hold in.
        "on_hold": {"cancelled"},
        "completed": set(),
        "cancelled": set(),
    },
    refused=OrderCannotBecome,
)

SAMPLE = LifeCycle[SampleStatus](
    {
        "collected": {"in_transit"},
        "in_transit": {"received"},
        "received": {"accepted", "rejected"},
        "accepted": {"stored"},
        "rejected": {"stored"},
        "stored": {"disposed"},
        "disposed": set(),
    },
    refused=SampleCannotBecome,
)

RESULT = LifeCycle[ResultStatus](
    {
        "preliminary": {"final", "cancelled"},
        "final": {"corrected"},
        "corrected": {"corrected"},
        "cancelled": set(),
    },
    refused=ResultCannotBecome,
)

OPEN_ORDERS: frozenset[OrderStatus] = frozenset({"draft", "ordered", "collected", "in_process", "partial", "on_hold"})
"""The states in which an order is still worked on."""

SAMPLED: frozenset[OrderStatus] = frozenset({"collected", "in_process", "partial"})
ANALYSED: frozenset[OrderStatus] = frozenset({"in_process", "partial"})


def order_resumed(status: OrderStatus, held_from: OrderStatus | None) -> OrderStatus:
    """The state that an order on hold returns to. Raises OrderCannotBecome."""
    if status != "on_hold" or held_from is None:
        raise OrderCannotBecome(state=status, asked="resumed")
    return held_from


def order_after_collection(status: OrderStatus) -> OrderStatus:
    """What an order becomes when a sample is taken; a further sample changes nothing. Raises OrderCannotBecome."""
    return status if status in SAMPLED else ORDER.moved(status, "collected")


def order_after_acceptance(status: OrderStatus) -> OrderStatus:
    """What an order becomes when the lab accepts a sample; a further sample changes nothing. Raises OrderCannotBecome."""
    return status if status in ANALYSED else ORDER.moved(status, "in_process")


def order_by_tests(status: OrderStatus, tests: Iterable[TestStatus]) -> OrderStatus:
    """What an order becomes when one of its tests changed. Raises OrderCannotBecome.

    Completed once no test is pending and one has a result; cancelled when none has, because all were given up.
    """
    states = set(tests)
    if "pending" in states:
        after: OrderStatus = "partial" if "resulted" in states else status
    else:
        after = "completed" if "resulted" in states else "cancelled"
    return status if after == status else ORDER.moved(status, after)


def check_cancellable(tests: Iterable[TestStatus]) -> None:
    """Raises OrderHasResultsAlready."""
    if "resulted" in set(tests):
        raise OrderHasResultsAlready


def check_recollectable(status: OrderStatus) -> None:
    """Only for an order that is still worked on a new sample is taken. Raises OrderCannotBecome."""
    if status not in OPEN_ORDERS:
        raise OrderCannotBecome(state=status, asked="recollected")
