"""A C program (librabbitmq) that publishes what the relay would: persistent, mandatory, confirmed, to a quorum queue."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

import aiormq

from benchmarks.contending import Prepared, Where, Workload, main
from broker.servers.apt import install

SOURCE = Path(__file__).with_name("publish.c")
PROGRAM = Path(__file__).parents[2] / ".local" / "bench" / "publish"
QUEUE = "floor"
WINDOW = 2000
"""Messages without a confirm at a time: as many as the relay has."""


class CClient:
    """Only `relay`; there is no outbox to read."""

    def __init__(self, where: Where, options: frozenset[str]) -> None:
        self._where = where
        self._count = sys.argv[3]

    async def prepare(self, workload: Workload, count: int) -> Prepared:
        _compile()
        connection = await aiormq.connect(self._where.amqp_url)
        channel = await connection.channel()
        await channel.exchange_declare(QUEUE, exchange_type="topic", durable=True)
        await channel.queue_declare(QUEUE, durable=True, arguments={"x-queue-type": "quorum"})
        await channel.queue_bind(QUEUE, QUEUE, "ledger.#")
        await connection.close()
        return Prepared(QUEUE, self._where.database_url)

    async def work(self, workload: Workload) -> None:
        url = urlsplit(self._where.amqp_url)
        login = (unquote(url.username or "guest"), unquote(url.password or "guest"))
        address = (url.hostname or "127.0.0.1", str(url.port or 5672), self._where.name, *login)
        process = await asyncio.create_subprocess_exec(PROGRAM, *address, QUEUE, "ledger.posted", self._count, str(WINDOW))
        try:
            if await process.wait():
                raise SystemExit(f"{PROGRAM.name} ended with {process.returncode}")
            await asyncio.Event().wait()
        finally:
            if process.returncode is None:
                process.kill()


def _compile() -> None:
    if PROGRAM.exists() and PROGRAM.stat().st_mtime > SOURCE.stat().st_mtime:
        return
    if shutil.which("gcc") is None or not any(Path("/usr/include").rglob("amqp_tcp_socket.h")):
        install(["gcc", "libc6-dev", "librabbitmq-dev"])
    PROGRAM.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["gcc", "-O2", "-Wall", "-o", PROGRAM, SOURCE, "-lrabbitmq"], check=True)


if __name__ == "__main__":
    main(CClient)
