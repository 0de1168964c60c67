"""A service's API in a thread with an event loop of its own: who makes up requests is not asynchronous."""

from __future__ import annotations

import asyncio
import threading
from collections import defaultdict
from collections.abc import Coroutine, Iterator
from contextlib import AsyncExitStack
from datetime import timedelta
from types import TracebackType
from typing import Any, Self, TypeVar

import requests

from broker import Service
from broker._access import gates_of
from broker._http import PREFIX, routes_of
from broker._listener import Listener
from broker._tokens import issue_token
from broker.servers import Servers
from broker.testing.scratch import Databases
from tests.flows.asked import ROUTES
from tests.fuzz.seeds import BY_ANOTHER, COLLEAGUE, GOES_ON, NAMES, SEEDS, USER
from tests.services.kit import KEY, Workplace

T = TypeVar("T")

OTHERWISE = {
    "bed_id": ("to_bed_id",),
    "code": ("test_code",),
    "facility_id": ("facilities",),
    "patient_id": ("into_patient_id",),
    "user_id": ("recipient_id",),
}
"""What the same ids are called where they are asked for."""


class Served:
    """Inside the block the service answers at `url`, to either of two colleagues, and has something of what it can make.

    `known` has the values of ids by the names of their fields.
    """

    def __init__(self, service: Service, servers: Servers) -> None:
        self.service = service
        self.known: dict[str, list[str]] = defaultdict(list, {name: [value] for name, value in NAMES.items()})
        self.colleagues = [requests.Session(), requests.Session()]
        self.url = ""
        self._databases = Databases(servers.postgres_url)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"{service.name} for the fuzzer")
        self._stack = AsyncExitStack()

    def __enter__(self) -> Self:
        self._thread.start()
        self._run(self._start())
        roles = {role for route in routes_of(self.service) for gate in gates_of(route.dependant) for role in gate.roles}
        for session, user in zip(self.colleagues, (USER, COLLEAGUE), strict=True):
            token = issue_token(KEY, subject=str(user), roles=roles, facilities=None, lifetime=timedelta(hours=8))
            session.headers["Authorization"] = f"Bearer {token}"
        self._begin_work()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for session in self.colleagues:
            session.close()
        self._run(self._stack.aclose())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def learn(self, body: object) -> None:
        """Remembers the ids in a reply, to ask for them later."""
        for name, value in _fields(body):
            if name.endswith(("_id", "code")) and isinstance(value, str):
                for called in (name, *OTHERWISE.get(name, ())):
                    if value not in self.known[called]:
                        self.known[called].append(value)

    def _begin_work(self) -> None:
        """Makes something of everything that can be made of what is known, and then again of what is known by then."""
        for route in [route for route in ROUTES if route.service is self.service] * 3:
            goes_on = route.method == "POST" and route.path in GOES_ON.get(self.service.name, ())
            if goes_on or route.makes_something or route.is_list:
                ids = {name: values[-1] for name, values in self.known.items()}
                address = f"{self.url}{PREFIX}{route.filled(ids)}"
                reply = self.colleagues[route.path in BY_ANOTHER].request(route.method, address, json=route.body(ids))
                if reply.ok and reply.content:
                    self.learn(reply.json())

    async def _start(self) -> None:
        self._stack.push_async_callback(self._databases.drop)
        workplace = await self._stack.enter_async_context(Workplace.of(self.service, self._databases))
        for seed in SEEDS:
            if any(subscription.contract(seed.contract.name) for subscription in self.service.subscriptions):
                await workplace.arrive(seed)
                self.learn(seed.model_dump(mode="json"))
        listener = Listener(workplace.app, "127.0.0.1", 0)
        await listener.start()
        self._stack.push_async_callback(listener.stop)
        self.url = f"http://127.0.0.1:{listener.port}"

    def _run(self, doing: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(doing, self._loop).result()


def _fields(body: object) -> Iterator[tuple[str, object]]:
    if isinstance(body, dict):
        for name, value in body.items():
            yield name, value
            yield from _fields(value)
    elif isinstance(body, list):
        for value in body:
            yield from _fields(value)
