"""`nilecare flows record`: what it refuses before it listens. tests/flows/test_recording.py has it listen."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from nilecare.cli import group

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
