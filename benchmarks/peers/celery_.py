"""Celery on quorum queues: a task for each event, acknowledged late, and an inbox.

An event is published after the commit that it tells of, so a crash in between loses it: that is what `relay` measures. A task
that raises is acknowledged all the same, which is Celery's way; a worker that dies has its tasks delivered again.
"""

from __future__ import annotations

import signal
import sys
from typing import Any

from celery import Celery, Task

from benchmarks.contending import Prepared, Told, Where, say
from benchmarks.effects import events
from benchmarks.peers.blocking import make_tables, publish_all, take, together

QUEUE = "celery_peer"

WORKERS = 2
WORKER = ["--pool", "threads", "--concurrency", "8", "--prefetch-multiplier", "64"]
"""docs/userguide/workers.rst, "Concurrency": several workers may do better than one, and one has to experiment; on two cores
threads (docs/userguide/concurrency/index.rst) cost less than processes for a task that waits for a database.
optimizing.rst, "Prefetch Limits": 64 or 128 for short tasks."""

THREADS = 10
"""That publish, when tuned: the size of Celery's pool of connections, as "Broker Connection Pools" has it."""

where = Where.from_environment()
app = Celery("benchmark", broker=where.amqp_url)
app.conf.update(
    task_default_queue=QUEUE,
    # docs/getting-started/backends-and-brokers/rabbitmq.rst, "Using Quorum Queues".
    task_default_queue_type="quorum",
    task_default_exchange_type="topic",
    broker_transport_options={"confirm_publish": True},
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    # docs/userguide/tasks.rst, "Ignore results you don't want".
    task_ignore_result=True,
    broker_pool_limit=THREADS,
    broker_connection_retry_on_startup=True,
)


def _insert(task: Task, event: dict[str, Any]) -> None:
    take("insert", task.request.id, event)


def _update(task: Task, event: dict[str, Any]) -> None:
    take("update", task.request.id, event)


def _replicate(task: Task, event: dict[str, Any]) -> None:
    take("replica", task.request.id, event)


TASKS = {
    "insert": app.task(_insert, bind=True, name="insert"),
    "update": app.task(_update, bind=True, name="update"),
    "replica": app.task(_replicate, bind=True, name="replica"),
}
TASKS["relay"] = TASKS["insert"]


def declare() -> None:
    """The queue, as a worker would."""
    with app.connection_for_write() as connection:
        app.amqp.queues[QUEUE](connection.default_channel).declare()


def prepare(told: Told) -> None:
    """Leaves tasks waiting, unless they are to be published."""
    make_tables(where)
    declare()
    if told.workload != "relay":
        publish(told, THREADS)
    say(Prepared(QUEUE, where.database_url))


def publish(told: Told, threads: int) -> None:
    """All events of a workload."""
    made = [event.model_dump(mode="json") for event in events(told.workload, told.count)]
    publish_all(TASKS[told.workload].delay, made, threads)


def work(told: Told) -> None:
    """Publishes, or runs Celery's workers. Options: `default` leaves every setting as it comes."""
    tuned = "default" not in told.options
    if told.workload == "relay":
        publish(told, THREADS if tuned else 1)
        signal.pause()
    else:
        command = [sys.executable, "-m", "celery", "--app", "benchmarks.peers.celery_", "worker"]
        together([[*command, *WORKER, "--hostname", f"{number}@%h"] for number in range(WORKERS)] if tuned else [command])


if __name__ == "__main__":
    asked = Told.by(sys.argv[1:])
    prepare(asked) if asked.step == "prepare" else work(asked)
