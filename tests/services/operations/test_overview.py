"""How services are doing is put together from what their copies said, what the broker says and what failed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest

from broker import Depth, clock
from contracts.backbone import ServiceCopyChanged, SubscriptionState
from services.operations.overview import Failed, Platform, put_together
from services.operations.pages.mapping import drawn
from services.operations.pages.writing import page
from services.operations.rules import LATE, VIEWER
from tests.services.kit import Workplace

SECOND = timedelta(seconds=1)


def subscription(queue: str, *types: str, **fields: Any) -> SubscriptionState:
    """One subscription of a copy that is well and has nothing to do."""
    said = {"consuming": "at work", "waiting": 0, "waiting_since": None, "handled": 0, "per_second": 0.0, "lag_seconds": None}
    name = queue.partition(".")[2]
    return SubscriptionState.model_validate({"name": name, "queue": queue, "types": types, "latest": None, **said, **fields})


def copy(service: str, *subscriptions: SubscriptionState, host: str = "one", **fields: Any) -> ServiceCopyChanged:
    """A copy that is well, and said so just now."""
    now = clock.now()
    said = {
        "copy_id": f"{service}@{host}:1", "service": service, "started_at": now - timedelta(hours=1), "reported_at": now,
        "next_at": now + 60 * SECOND, "relay": "active", "unsent": 0, "unsent_seconds": 0.0, "publishes": [],
        "dead_queue": f"{service}.dead", "subscriptions": list(subscriptions), "replicas": [], "state_version": 1,
    }  # fmt: skip
    return ServiceCopyChanged.model_validate(said | fields)


def seen(*copies: ServiceCopyChanged, depths: Mapping[str, int] | None = None, failed: Failed | None = None) -> Platform:
    """The platform; every queue is consumed, and holds as many messages as `depths` says, or none."""
    queues = [each.queue for copy in copies for each in copy.subscriptions]
    found = {queue: Depth((depths or {}).get(queue, 0), 1) for queue in queues}
    return put_together(copies, found, failed or {})


def sentences(platform: Platform) -> list[str]:
    return [trouble for _, trouble in platform.troubles]


def ago(seconds: float) -> datetime:
    return clock.now() - seconds * SECOND


def test_all_is_well() -> None:
    """A quiet platform, and a busy one whose queue holds what has just come, have no troubles."""
    assert seen(copy("lab", subscription("lab.take", "patient.changed"))).troubles == []
    busy = subscription(
        "lab.take", waiting=5, waiting_since=ago(3600), latest=ago(1), per_second=90, lag_seconds=0.2, handled=7
    )
    platform = seen(copy("lab", busy), depths={"lab.take": 900})
    assert platform.troubles == []
    (queue,) = platform.services[0].queues
    assert (queue.waiting, queue.waiting_since, queue.per_second, queue.handled) == (900, busy.latest, 90, 7)


def test_a_queue_that_nobody_takes_from() -> None:
    """As the broker says; and where it says nothing, as the copies do."""
    one, other = subscription("lab.take"), subscription("lab.keep", consuming="not consuming")
    told = {"lab.take": Depth(0, 0), "lab.keep": Depth(0, 1)}
    assert sentences(put_together([copy("lab", one, other)], told, {})) == ["Nobody takes from lab.take."]
    unknown = put_together([copy("lab", one, other)], None, {})
    assert (unknown.is_broker_there, sentences(unknown)) == (False, ["Nobody takes from lab.keep."])
    assert unknown.services[0].queues[0].waiting is None


@pytest.mark.parametrize(("waited", "is_trouble"), [(LATE / SECOND - 5, False), (LATE / SECOND + 5, True)])
def test_a_queue_that_is_behind(waited: float, is_trouble: bool) -> None:
    """Since it was last empty, or the last message took effect, if that was later."""
    late = copy("lab", subscription("lab.take", waiting=2, waiting_since=ago(waited), latest=ago(waited + 100)))
    assert bool(sentences(seen(late, depths={"lab.take": 2}))) is is_trouble
    assert sentences(seen(late, depths={"lab.take": 0})) == []


def test_a_copy_that_fell_silent() -> None:
    """It is missed until another has started after its last word; and its service, when it was the only one."""
    gone = copy("lab", subscription("lab.take"), reported_at=ago(600), next_at=ago(500), started_at=ago(9000))
    assert sentences(put_together([gone], {"lab.take": Depth(3, 0)}, {})) == [
        "No copy of lab has run for 10 min; 3 messages wait in its queues.",
        "lab.take is behind by up to 10 min.",
    ]
    beside = copy("lab", subscription("lab.take"), host="two", started_at=ago(9000))
    assert sentences(seen(gone, beside)) == ["lab@one:1 has said nothing for 10 min."]
    after = copy("lab", subscription("lab.take"), host="three", started_at=ago(300))
    assert sentences(seen(gone, after)) == []
    assert sentences(seen(gone)) == ["lab takes from its queues but has said nothing for 10 min: do its events get out?"]
    assert not put_together([gone], None, {}).services[0].copies[0].is_silent


def test_a_service_that_was_ended() -> None:
    """One copy of two may end in order; when the last does, somebody wants to know."""
    ended = copy("lab", subscription("lab.take"), reported_at=ago(120), ended_at=ago(120))
    assert sentences(seen(ended, copy("lab", subscription("lab.take"), host="two"))) == []
    (said, *_) = sentences(put_together([ended], {"lab.take": Depth(1, 0)}, {}))
    assert said == "No copy of lab has run for 2 min; 1 messages wait in its queues."


def test_what_waits_to_be_sent_and_what_is_dead() -> None:
    """Of the outbox, by its oldest event; of dead letters, how many; of what the broker gave up."""
    assert sentences(seen(copy("lab", unsent=4, unsent_seconds=LATE / SECOND + 60))) == [
        "Events of lab have waited 2 min to be sent."
    ]
    assert sentences(seen(copy("lab", unsent=4, unsent_seconds=1))) == []
    dead = seen(copy("lab", subscription("lab.take")), failed={("lab", "take"): {"dead": 2, "held": 5}})
    assert sentences(dead) == ["2 of lab.take are dead."]
    assert dead.services[0].failed == {"dead": 2, "held": 5}
    given_up = put_together([copy("lab")], {"lab.dead": Depth(7, 1)}, {})
    assert sentences(given_up) == ["7 wait in lab.dead, which the broker gave up."]


def test_two_copies_add_up() -> None:
    """Their rates and effects; the worse lag counts."""
    one = copy("lab", subscription("lab.take", per_second=2, handled=5, lag_seconds=0.1))
    two = copy("lab", subscription("lab.take", per_second=3, handled=6, lag_seconds=0.4), host="two")
    (service,) = seen(one, two).services
    (queue,) = service.queues
    assert (queue.per_second, queue.handled, queue.lag_seconds, len(service.copies)) == (5, 11, 0.4, 2)


def test_the_map_shows_who_hears_whom() -> None:
    """A line for each pair, however many types; red where something is wrong with what is heard; none to oneself."""
    clinical = copy("clinical", subscription("clinical.again", "patient.changed"), publishes=["patient.changed", "visit.ended"])
    lab = copy("lab", subscription("lab.take", "patient.changed"), subscription("lab.end", "visit.ended"))
    ehr = copy("ehr", subscription("ehr.take", "patient.changed", per_second=1), subscription("ehr.hear", "failure.changed"))
    platform = seen(clinical, ehr, lab, failed={("lab", "end"): {"dead": 1}})
    assert [(link.publisher, link.subscriber, link.types) for link in platform.links] == [
        ("clinical", "ehr", ["patient.changed"]),
        ("clinical", "lab", ["patient.changed", "visit.ended"]),
    ]
    picture = drawn(platform)
    assert [(curve.link.subscriber, curve.state) for curve in picture.curves] == [("ehr", "busy"), ("lab", "bad")]
    assert [(node.service.name, node.state) for node in picture.nodes] == [
        ("clinical", "calm"), ("ehr", "busy"), ("lab", "bad"),
    ]  # fmt: skip
    assert all(0 < place < picture.size for node in picture.nodes for place in (node.x, node.y))


async def test_it_is_told_over_http(operations: Workplace) -> None:
    """What copies say arrives as every event does; the newest word of each counts."""
    await operations.arrive(copy("lab", subscription("lab.take", "patient.changed")))
    await operations.arrive(
        copy("lab", subscription("lab.take", "patient.changed"), unsent=3, unsent_seconds=90, state_version=2)
    )
    async with operations.client(VIEWER, at=None) as viewer:
        (service,) = (await viewer.get("/services")).json()
    assert (service["name"], service["unsent"], service["queues"][0]["waiting"]) == ("lab", 3, None)
    assert service["troubles"] == ["Events of lab have waited 1 min to be sent."]


def test_the_page_says_what_a_fill_waits_for() -> None:
    """The failed message, where it can be replayed; else when something came last."""
    run = {"purpose": "fill", "state": "running", "rows": 1000, "drift": 0, "ended_at": None}
    run |= {"began_at": ago(600), "changed_at": ago(300)}
    replicas = [{"name": "patient_reference", "waits_for": 17, **run}, {"name": "bed_reference", **run}]
    replicas += [{"name": "failed_message_reference", "owner": owner, **run} for owner in ("billing", "lab")]
    platform = seen(copy("lab", replicas=replicas))
    shown = bytes(page("overview.html", None, platform=platform, map=drawn(platform)).body).decode()
    assert 'waits for the failed message <a href="/messages/lab/17">lab/17</a>.' in shown
    assert "1,000 rows so far, the last 5 min ago." in shown
    said = shown.replace("<wbr>", "")
    assert said.count("failed_message_reference of billing") == 2, "under way, and in the table"
    assert "3 replicas of what others own" in said
