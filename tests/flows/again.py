"""What was delivered once is delivered again: repeated, backwards, under ids that no service remembers."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from copy import copy
from dataclasses import replace
from uuid import UUID, uuid4

import aiormq
from aiormq.abc import DeliveredMessage

from tests.flows.running import SERVICES, Running
from tests.flows.spoken import PREFIX
from tests.waiting import until

DROPPED = re.compile(r"nilecare_duplicates_dropped_total\{[^}]*subscription=\"(\w+)\"[^}]*\} (\S+)")
HANDLED = "SELECT subscription FROM backbone.inbox WHERE id = ANY (:ids)"


async def hear_again(running: Running, messages: Iterable[DeliveredMessage]) -> None:
    """Every subscription gets these messages again, the last first, as after a failure of the broker: it drops them all."""
    copies = list(messages)[::-1]
    expected = await _dropped(running) + _heard(copies)
    await _publish(running, copies)

    async def all_dropped() -> bool:
        return await _dropped(running) >= expected

    await until(all_dropped)


async def hear_anew(running: Running, messages: Iterable[DeliveredMessage]) -> None:
    """Every subscription gets these messages, the last first, under ids of which it has never heard; and once more."""
    copies = [_renamed(each) for each in messages]
    ids = [UUID(str(each.header.properties.message_id)) for each in copies]
    await _publish(running, copies[::-1])

    async def all_handled() -> bool:
        rows = [row for name in running.runtimes for row in await running.rows(name, HANDLED, ids=ids)]
        return Counter(row.subscription for row in rows) == _heard(copies)

    await until(all_handled)
    await hear_again(running, copies)


def _renamed(message: DeliveredMessage) -> DeliveredMessage:
    """The message under an id of its own."""
    properties = copy(message.header.properties)
    properties.message_id = str(uuid4())
    properties.headers = {**(properties.headers or {}), f"{PREFIX}id": properties.message_id}
    header = copy(message.header)
    header.properties = properties
    return replace(message, header=header)


async def _publish(running: Running, copies: Sequence[DeliveredMessage]) -> None:
    """Each by the account of its publisher, as nobody else can."""
    for source in {str(each.exchange) for each in copies}:
        connection = await aiormq.connect(running.platform.service_amqp_url(source))
        channel = await connection.channel()
        for each in copies:
            if each.exchange == source:
                key = str(each.routing_key)
                await channel.basic_publish(each.body, exchange=source, routing_key=key, properties=each.header.properties)
        await connection.close()


def _heard(copies: Sequence[DeliveredMessage]) -> Counter[str]:
    """How many of these each subscription gets, by its name."""
    subscriptions = [each for service in SERVICES for each in service.subscriptions]
    types = [str(each.routing_key) for each in copies]
    return Counter(each.name for type_ in types for each in subscriptions if each.contract(type_))


async def _dropped(running: Running) -> Counter[str]:
    """How many repetitions were dropped, by the name under which they were heard."""
    return sum((Counter({name: int(float(count))}) for name, count in DROPPED.findall(await running.metrics())), Counter())
