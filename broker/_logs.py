"""Logs: one JSON object a line on standard error, with the flow, service, subscription and event it is about.

Neither bodies nor texts of exceptions: both may quote what is personal. An exception is its class and the lines it passed.
"""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import MutableMapping
from typing import Any

import structlog
from structlog.typing import Processor

from broker._context import cause_in_hand

Entry = MutableMapping[str, Any]

LIBRARIES = ("uvicorn", "faststream", "aiormq", "aio_pika", "sqlalchemy", "alembic", "httpx", "asyncio")
"""They are heard from WARNING on."""


def configure_logs(level: str = "INFO") -> None:
    """Sends structlog's and the standard library's logs the same way. Once, at the start of a process.

    level: the least important of our own lines that is written.
    """
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        _cause,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _exception,
    ]
    structlog.configure(
        processors=[*shared, structlog.processors.JSONRenderer(default=str)],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, _first_line, *shared],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(default=str),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    for name in LIBRARIES:
        library = logging.getLogger(name)
        library.handlers.clear()
        library.propagate = True
        library.setLevel(logging.WARNING)


def passed(error: BaseException) -> list[str]:
    """The lines of code that an exception passed, innermost last."""
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(error.__traceback__)[-12:]]


def _cause(_: Any, __: str, entry: Entry) -> Entry:
    cause = cause_in_hand()
    if cause is not None:
        entry.setdefault("flow", str(cause.flow))
        if cause.message is not None:
            entry.setdefault("event_id", str(cause.message))
    return entry


def _exception(_: Any, __: str, entry: Entry) -> Entry:
    told = entry.pop("exc_info", None)
    error = told[1] if isinstance(told, tuple) else told if isinstance(told, BaseException) else sys.exc_info()[1]
    if told and error is not None:
        entry["error"] = type(error).__name__
        entry["passed"] = passed(error)
    entry.pop("exc_text", None)
    return entry


def _first_line(_: Any, __: str, entry: Entry) -> Entry:
    """Libraries quote objects, with their exceptions, from the second line on."""
    entry["event"] = str(entry.get("event", "")).partition("\n")[0]
    return entry
