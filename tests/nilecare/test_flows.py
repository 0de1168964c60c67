"""`nilecare flows record`: what it refuses, and that it can write down whatever is said.

tests/flows/test_recording.py has it listen.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from broker import Envelope
from broker._context import uuid7
from broker._recordings import Recording
from broker.testing import example_of
from contracts.event import Event
from nilecare.cli import group
from nilecare.platform import services

EVENTS = [event for service in services() for event in service.events]
FLOW = "01a21f83-a53f-7f00-9eda-041dabe538fc"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--out", "nowhere/flow.jsonl"], "there is no folder nowhere"),
        (["--out", "."], "'.' is a directory"),
        (["--out", "flow.jsonl", "--next", "invoice.lost"], "no service publishes invoice.lost"),
        (["--out", "flow.jsonl", "--flow", "12"], "'12' is not a valid UUID"),
        (["--out", "flow.jsonl", "--flow", FLOW, "--next", "invoice.paid"], "say --flow or --next, not both"),
        (["--out", "flow.jsonl"], "it cannot be recorded: "),
        ([], "Missing option '--out'"),
    ],
)
def test_what_cannot_be_is_said(options: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a line of its own, and nothing is written."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NILECARE_AMQP_URL", "amqp://nobody:nothing@127.0.0.1:1/")
    result = CliRunner().invoke(group, ["flows", "record", *options])
    assert result.exit_code != 0
    assert says in " ".join(result.output.split())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.contract.name)
def test_every_event_can_be_recorded(event: type[Event]) -> None:
    """An example of each contract is valid, and still is when it is masked."""
    example = example_of(event)
    envelope = Envelope(
        id=uuid7(), type=event.contract.name, source=event.contract.publisher, subject=example.subject,
        version=event.contract.version, sequence=1, flow=uuid7(), cause=None, trace=None, time=datetime.now(UTC),
        body=example.model_dump_json().encode(),
    )  # fmt: skip
    recording = Recording.of([envelope], services())
    assert recording.left_out == []
    [line] = recording.lines
    assert event.model_validate(line.body).subject == line.subject
