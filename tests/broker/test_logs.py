"""Logs: one JSON object a line, tied to its flow, with nothing that an exception quoted."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from uuid import uuid4

import pytest
import structlog
from structlog.contextvars import bound_contextvars

from broker._context import Cause, caused_by
from broker._logs import configure_logs

PERSONAL = "Jane Doe"


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def told(capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    (line,) = capsys.readouterr().err.splitlines()
    entry: dict[str, object] = json.loads(line)
    return entry


def test_a_line_is_tied_to_its_flow(capsys: pytest.CaptureFixture[str]) -> None:
    """A line carries service, subscription, flow and event id of the work it was written in."""
    configure_logs()
    flow, message = uuid4(), uuid4()
    with bound_contextvars(service="lab", subscription="charge"), caused_by(Cause(flow, message)):
        structlog.get_logger("x").info("thing.done", count=1)
    entry = told(capsys)
    assert {"event": "thing.done", "count": 1, "service": "lab", "subscription": "charge"}.items() <= entry.items()
    assert (entry["flow"], entry["event_id"]) == (str(flow), str(message))


@pytest.mark.parametrize("name", ["ours", "uvicorn.error", "aiormq.connection", "faststream"])
def test_exceptions_are_not_quoted(capsys: pytest.CaptureFixture[str], name: str) -> None:
    """An exception is told by its class and the lines it passed, by us and by libraries alike."""
    configure_logs()
    try:
        raise ValueError(PERSONAL)
    except ValueError:
        if name == "ours":
            structlog.get_logger().exception("it.failed")
        else:
            logging.getLogger(name).exception("it failed\n%s", PERSONAL)
    text = capsys.readouterr().err
    assert PERSONAL not in text
    entry = json.loads(text)
    assert entry["error"] == "ValueError"
    assert "test_exceptions_are_not_quoted" in entry["passed"][-1]


def test_libraries_are_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    """Libraries are heard from WARNING on."""
    configure_logs()
    logging.getLogger("uvicorn.error").info("Started server process")
    logging.getLogger("aiormq").warning("connection lost")
    assert told(capsys)["event"] == "connection lost"
