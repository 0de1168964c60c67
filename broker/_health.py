"""Three questions about a service: does it live, can it take commands, do its messages flow.

`ready` is the database and its migrations alone: commands go on while the broker is down. `messaging` is for people and alarms;
nobody should stop sending requests because of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from fastapi import APIRouter, Response
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from broker._database import is_migrated
from broker._metrics import outbox_backlog
from broker._problems import documented, problem
from contracts.backbone import Consuming

PATIENCE = 2.0
"""Seconds that the database has for an answer."""

STALE = 60.0
"""Seconds after which the oldest row of the outbox means that messages do not flow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Messaging:
    """What the process knows of its own messages."""

    connected: bool = True
    relay: Literal["active", "standing by"] = "standing by"
    queues: dict[str, Consuming] = field(default_factory=dict)

    @property
    def is_well(self) -> bool:
        """Whether messages come and go, as far as the process can see."""
        return self.connected and "not consuming" not in self.queues.values()


class Health:
    """Answers the three questions for one service in one process."""

    def __init__(self, engine: AsyncEngine, migrations: Path | None, messaging: Callable[[], Messaging]) -> None:
        self._engine = engine
        self._migrations = migrations
        self._messaging = messaging
        self._is_migrated = False

    async def trouble(self) -> str | None:
        """Why commands cannot be taken; None when they can."""
        try:
            async with asyncio.timeout(PATIENCE):
                async with self._engine.connect() as connection:
                    await connection.execute(text("SELECT 1"))
                self._is_migrated = self._is_migrated or await is_migrated(self._engine, self._migrations)
        except Exception as failure:
            return f"the database does not answer ({type(failure).__name__})"
        return None if self._is_migrated else "the database lacks migrations"

    async def messaging(self) -> tuple[bool, dict[str, Any]]:
        """Whether messages flow, and what there is to know about it."""
        now = self._messaging()
        depth, age = None, None
        try:
            async with asyncio.timeout(PATIENCE), self._engine.connect() as connection:
                depth, age = await outbox_backlog(connection)
        except Exception:
            return False, asdict(now) | {"outbox": "the database does not answer"}
        is_well = now.is_well and age < STALE
        return is_well, asdict(now) | {"outbox": {"events": depth, "oldest_age_seconds": round(age, 3)}}

    def router(self) -> APIRouter:
        """The routes under /health; 503 problems for no."""
        router = APIRouter(prefix="/health", tags=["health"])

        @router.get("/live")
        async def live() -> dict[str, str]:
            """The process answers."""
            return {"status": "live"}

        @router.get("/ready", response_model=None, responses=documented(503))
        async def ready() -> dict[str, str] | Response:
            """Commands can be taken: the database is there and has this code's migrations."""
            trouble = await self.trouble()
            return {"status": "ready"} if trouble is None else problem(503, detail=trouble)

        @router.get("/messaging", response_model=None, responses=documented(503))
        async def messaging() -> dict[str, Any] | Response:
            """Messages flow: broker, queues, relay, and the oldest row of the outbox."""
            is_well, known = await self.messaging()
            return {"status": "flowing", **known} if is_well else problem(503, "Messages do not flow.", members=known)

        return router
