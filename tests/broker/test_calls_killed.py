"""Calls outside under kill -9: whatever is killed and whatever answer is lost, each is charged once and has one effect."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text

from broker import call
from broker._database import Database, engine_for
from broker.testing.scratch import Databases
from tests.broker.caller_process import Charge, charge
from tests.waiting import until

ACCOUNTS, CALLS = 3, 24
KILLED_AT = {2, 7, 13}
"""Requests in whose middle the caller is killed: the charge is made, the answer never sent."""
UNANSWERED = {5, 10}
NOT_TAKEN = {4, 16}
"""Requests that the provider drops before it does anything."""


class Provider:
    """A provider with an HTTP API that knows idempotency keys, on a bad line."""

    def __init__(self) -> None:
        self.charges: dict[str, Charge] = {}
        self.requests = 0
        self.address = ""
        self.caller: asyncio.subprocess.Process | None = None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                lines = head.decode().split("\r\n")
                method, path, _ = lines[0].split(" ")
                length = next((int(line.split(":")[1]) for line in lines if line.lower().startswith("content-length")), 0)
                answered = self._do(method, path.rpartition("/")[2], await reader.readexactly(length))
                if answered is None:
                    return
                status, body = answered
                writer.write(f"HTTP/1.1 {status} x\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def _do(self, method: str, key: str, body: bytes) -> tuple[int, bytes] | None:
        if method == "POST":
            self.requests += 1
            if self.requests in NOT_TAKEN:
                return None
            self.charges.setdefault(key, Charge.model_validate_json(body))
            if self.requests in KILLED_AT and self.caller is not None:
                self.caller.send_signal(signal.SIGKILL)
                return None
            if self.requests in UNANSWERED:
                return None
        made = self.charges.get(key)
        return (200, json.dumps({"amount": made.amount}).encode()) if made else (404, b"")


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    """The provider, listening."""
    provider = Provider()
    server = await asyncio.start_server(provider.serve, "127.0.0.1", 0)
    provider.address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield provider
    server.close()


async def test_killed_in_mid_call(database: Databases, provider: Provider) -> None:
    """Each call is made in the order of its key and has one effect, though its process is killed again and again."""
    url = await database()
    till = Database(engine_for(url), "till")
    for number in range(CALLS):
        account = f"account {number % ACCOUNTS}"
        async with till.transaction() as session:
            await call(session, charge, Charge(account=account, amount=number), key=account)

    async def all_answered() -> bool:
        async with till.engine.connect() as connection:
            return await connection.scalar(text("SELECT bool_and(state = 'answered') FROM backbone.call")) is True

    async def keep_running() -> None:
        while True:
            provider.caller = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "tests.broker.caller_process", url, provider.address
            )
            await provider.caller.wait()

    running = asyncio.create_task(keep_running())
    await until(all_answered)
    running.cancel()
    assert provider.caller is not None
    provider.caller.kill()
    await provider.caller.wait()

    charged = [made.amount for made in provider.charges.values()]
    assert sorted(charged) == list(range(CALLS))
    async with till.engine.connect() as connection:
        rows = await connection.execute(text("SELECT body FROM backbone.outbox ORDER BY position"))
        effects = [json.loads(body)["amount"] for body in rows.scalars()]
    assert sorted(effects) == list(range(CALLS))
    for place in range(ACCOUNTS):
        for happened in (charged, effects):
            mine = [amount for amount in happened if amount % ACCOUNTS == place]
            assert mine == sorted(mine)
    await till.close()
