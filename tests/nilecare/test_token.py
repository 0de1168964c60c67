"""Development tokens: signed with a key that only this checkout has."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from uuid import uuid4

import pytest
from click.testing import CliRunner

from broker._tokens import Principal, Verifier
from nilecare import token as tokens


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / ".local" / "key.json"
    monkeypatch.setattr(tokens, "KEY_FILE", file)
    return file


def test_services_accept_it(file: Path) -> None:
    """What `nilecare token` prints is accepted by whoever has the development key set, for what it says."""
    facility = uuid4()
    asked = ["--role", "nurse", "--role", "cook", "--facility", str(facility), "--for", "n1"]
    done = CliRunner().invoke(tokens.command, asked)
    assert done.exit_code == 0, done.output
    principal = Verifier(tokens.development_key_set()).principal(done.output.strip())
    assert principal == Principal("n1", frozenset({"nurse", "cook"}), frozenset({facility}))


def test_everywhere_as_json(file: Path) -> None:
    """A token for every facility has to be asked for by name; JSON has the token in a member."""
    done = CliRunner().invoke(tokens.command, ["--role", "nurse", "--everywhere", "--json"])
    token = json.loads(done.output)["token"]
    assert Verifier(tokens.development_key_set()).principal(token).facilities is None


@pytest.mark.parametrize(
    "asked",
    [
        ["--role", "nurse"],
        ["--role", "nurse", "--everywhere", "--facility", str(uuid4())],
        ["--everywhere"],
        ["--role", "nurse", "--facility", "here"],
        ["--role", "nurse", "--everywhere", "--minutes", "0"],
    ],
)
def test_what_is_not_said(file: Path, asked: list[str]) -> None:
    """Without a role, or without saying what it may see, there is no token."""
    done = CliRunner().invoke(tokens.command, asked)
    assert done.exit_code == 2
    assert not file.exists()


def test_the_key_is_private(file: Path) -> None:
    """Nobody else may read the key, and it stays the same."""
    first = tokens.development_key_set()
    assert file.stat().st_mode & 0o777 == 0o600
    assert tokens.development_key_set() == first
    assert [path.name for path in file.parent.iterdir()] == [file.name]
    file.chmod(0o644)
    with pytest.raises(tokens.KeyUnusable, match="others may read"):
        tokens.development_key()


def test_two_at_once(file: Path) -> None:
    """When several make the key at one time, all go on with the same."""
    seen: list[str] = []
    threads = [threading.Thread(target=lambda: seen.append(tokens.development_key_set(file))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 8
    assert len(set(seen)) == 1


def test_a_file_that_is_no_key(file: Path) -> None:
    """A damaged key file is told of in one line that says what to do."""
    file.parent.mkdir()
    file.touch(mode=0o600)
    file.write_text("{}")
    done = CliRunner().invoke(tokens.command, ["--role", "nurse", "--everywhere"])
    assert done.exit_code != 0
    assert "remove it" in done.output
