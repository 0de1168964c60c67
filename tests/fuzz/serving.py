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
from broker._http import routes_of
from broker._listener import Listener
from broker._tokens import issue_token
from nilecare.stack import Servers
from tests.fuzz.seeds import SEEDS, USER
from tests.scratch import Databases
from tests.services.kit import KEY, Workplace

T = TypeVar("T")


class Served:
    """Inside the block the service answers at `url`. `known` has the values of ids by the names of their fields."""

    def __init__(self, service: Service, servers: Servers) -> None:
        self.service = service
        self.known: dict[str, list[str]] = defaultdict(list)
        self.session = requests.Session()
        self.url = ""
        self._databases = Databases(servers.postgres_url)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"{service.name} for the fuzzer")
        self._stack = AsyncExitStack()

    def __enter__(self) -> Self:
        self._thread.start()
        self._run(self._start())
        roles = {role for route in routes_of(self.service) for gate in gates_of(route.dependant) for role in gate.roles}
        token = issue_token(KEY, subject=str(USER), roles=roles, facilities=None, lifetime=timedelta(hours=8))
        self.session.headers["Authorization"] = f"Bearer {token}"
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.session.close()
        self._run(self._stack.aclose())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def learn(self, body: object) -> None:
        """Remembers the ids in a reply, to ask for them later."""
        for name, value in _fields(body):
            if name.endswith(("_id", "code")) and isinstance(value, str) and value not in self.known[name]:
                self.known[name].append(value)

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
