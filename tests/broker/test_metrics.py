"""Metrics: what a service tells Prometheus of its outbox, its effects and its failed messages."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text

from broker import Envelope, clock
from broker._batch import Effect
from broker._database import engine_for
from broker._metrics import Metrics
from broker._subscriptions import Subscription
from broker.testing.scratch import Databases
from tests.broker.ward import BedBooked


async def _handle(event: BedBooked) -> None: ...


COOK = Subscription(name="cook", events=(BedBooked,), handler=_handle)


def envelope(age: float) -> Envelope:
    return Envelope(
        id=uuid4(),
        type="bed.booked",
        source="ward",
        subject="k",
        version=1,
        sequence=1,
        flow=uuid4(),
        cause=None,
        trace=None,
        time=clock.now() - timedelta(seconds=age),
        body=b"{}",
    )


async def test_what_is_told(database: Databases) -> None:
    """Counts, latencies and states appear under their names and units, each service's in its own registry."""
    engine = engine_for(await database())
    metrics, others = Metrics(), Metrics()
    others.relayed(99, 1.0)
    metrics.relayed(3, 0.02)
    metrics.returned("bed.booked")
    metrics.observe(COOK, Effect(handled=(envelope(2.0), envelope(0.0)), duplicates=4, held=1, failed=2))
    metrics.observe_replica(COOK, Effect(handled=(envelope(7.0),)))
    async with engine.begin() as connection:
        await connection.execute(
            text(
                "INSERT INTO backbone.failed_message (subscription, state, type, version, key, sequence, exchange, routing_key,"
                " properties, body, error, reason, attempts, first_failed_at, last_failed_at)"
                " VALUES ('cook', 'dead', 't', 1, 'k', 1, 'e', 'r', '{}', '', 'E', 'r', 1, now(), now())"
            )
        )
        await connection.execute(
            text(
                "WITH run AS (INSERT INTO backbone.replica_run"
                " (id, replica, purpose, state, asked_by, columns, rows, began_at, changed_at)"
                " VALUES (gen_random_uuid(), 'bed_reference', 'check', 'running', 'amani', '{}', 7, now(), now()) RETURNING id)"
                " INSERT INTO backbone.replica_drift (run_id, key, drift, is_confirmed)"
                " SELECT id, 'one', 'stale', true FROM run UNION ALL SELECT id, 'two', 'stale', false FROM run"
            )
        )
        await connection.execute(
            text(
                "WITH run AS (INSERT INTO backbone.replica_run"
                " (id, replica, owner, purpose, state, asked_by, columns, rows, began_at, changed_at)"
                " SELECT gen_random_uuid(), 'told_reference', name, 'check', 'done', 'amani', '{}', 3, now(), now()"
                " FROM unnest(ARRAY['inn', 'spa']) name RETURNING id)"
                " INSERT INTO backbone.replica_drift (run_id, key, drift, is_confirmed) SELECT id, 'k', 'stale', true FROM run"
            )
        )
    told = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families((await metrics.exposition(engine)).decode())
        for sample in family.samples
    }
    await engine.dispose()
    assert told["nilecare_outbox_relayed_total",] == 3
    assert told["nilecare_replica_run_rows", "check", "bed_reference"] == 7
    assert told["nilecare_replica_drift_keys", "bed_reference"] == 1
    assert told["nilecare_replica_run_rows", "check", "told_reference"] == 3 + 3, "of both its owners"
    assert told["nilecare_replica_drift_keys", "told_reference"] == 1 + 1
    assert told["nilecare_outbox_confirm_seconds_sum",] == 0.02
    assert told["nilecare_outbox_returned_total", "bed.booked"] == 1
    assert told["nilecare_effect_latency_seconds_count", "cook"] == 3
    assert told["nilecare_batch_events_sum", "cook"] == 3
    assert told["nilecare_duplicates_dropped_total", "cook"] == 4
    assert told["nilecare_messages_failed_total", "cook"] == 2
    assert told["nilecare_failed_messages", "dead", "cook"] == 1
    assert told["nilecare_outbox_depth_events",] == 0
    assert 7 <= told["nilecare_replica_lag_seconds", "cook"] < 20
