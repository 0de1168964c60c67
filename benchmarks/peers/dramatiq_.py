"""Dramatiq on quorum queues: an actor for each kind of event, and an inbox.

An event is published after the commit that it tells of, so a crash in between loses it: that is what `relay` measures. Dramatiq
acknowledges after the actor has returned and sends what raised again, later. It has no setting for the type of its queues: the
virtual host's default is what makes them quorum queues.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from base64 import b64encode
from typing import Any
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import dramatiq
from dramatiq.brokers.rabbitmq import RabbitmqBroker
from dramatiq.middleware import CurrentMessage

from benchmarks.contending import Prepared, Told, Where, say
from benchmarks.effects import events
from benchmarks.peers.blocking import make_tables, publish_all, take

QUEUE = "dramatiq_peer"
WORKER = ["--processes", "2", "--threads", "8"]
PREFETCH = {"dramatiq_queue_prefetch": "64"}
THREADS = 10

where = Where.from_environment()
# docs/source/reference.rst, RabbitmqBroker: `confirm_delivery` waits for RabbitMQ on every call.
broker = RabbitmqBroker(url=where.amqp_url, confirm_delivery=True)
broker.add_middleware(CurrentMessage())
dramatiq.set_broker(broker)


def _take(workload: str, event: dict[str, Any]) -> None:
    take(workload, CurrentMessage.get_current_message().message_id, event)


actor = dramatiq.actor(_take, queue_name=QUEUE)


def management(method: str, path: str, body: dict[str, str] | None = None) -> Any:
    """A call of RabbitMQ's management API, as administrator; what it answers."""
    url = urlsplit(where.management_url)
    request = Request(
        f"{url.scheme}://{url.netloc.rpartition('@')[2]}/api/{path}",
        data=json.dumps(body).encode() if body else None,
        headers={
            "content-type": "application/json",
            "authorization": "Basic " + b64encode(f"{url.username}:{url.password}".encode()).decode(),
        },
        method=method,
    )
    with urlopen(request) as answer:
        return json.loads(answer.read() or "null")


def declare() -> None:
    """Dramatiq's queues, of the type that is the virtual host's default: RabbitMQ 3.10 takes that only for a new one."""
    management("DELETE", f"vhosts/{where.name}")
    # RabbitMQ 3.10 spells it without underscores.
    management("PUT", f"vhosts/{where.name}", {"default_queue_type": "quorum", "defaultqueuetype": "quorum"})
    broker.declare_queue(QUEUE, ensure=True)
    made = management("GET", f"queues/{where.name}/{QUEUE}")
    if made["type"] != "quorum":
        raise SystemExit(f"the queue is {made['type']}, not quorum")


def prepare(told: Told) -> None:
    """Leaves messages waiting, unless they are to be published."""
    make_tables(where)
    declare()
    if told.workload != "relay":
        publish(told, THREADS)
    say(Prepared(QUEUE, where.database_url))


def publish(told: Told, threads: int) -> None:
    """All events of a workload."""
    made = [event.model_dump(mode="json") for event in events(told.workload, told.count)]
    publish_all(lambda event: actor.send(told.workload, event), made, threads)


def work(told: Told) -> None:
    """Publishes, or becomes Dramatiq's workers. Options: `default` leaves every setting as it comes."""
    tuned = "default" not in told.options
    if told.workload == "relay":
        publish(told, THREADS if tuned else 1)
        signal.pause()
    else:
        command = [sys.executable, "-m", "dramatiq", "benchmarks.peers.dramatiq_"]
        os.execve(sys.executable, command + WORKER if tuned else command, os.environ | (PREFETCH if tuned else {}))


if __name__ == "__main__":
    asked = Told.by(sys.argv[1:])
    prepare(asked) if asked.step == "prepare" else work(asked)
