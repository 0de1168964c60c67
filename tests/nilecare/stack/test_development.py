"""What `make up` decides once stays, and nobody else may read it."""

from __future__ import annotations

import shlex
import socket
import stat
from pathlib import Path

import pytest

from nilecare.platform import services
from nilecare.stack.development import Development


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where the settings of this test are kept."""
    return tmp_path / ".local" / ".env"


def decided(file: Path) -> Development:
    development = Development(services(), file)
    development.choose_ports()
    development.use(development.local_servers)
    development.save()
    return development


def test_what_was_decided_stays(file: Path) -> None:
    """Passwords, secret and ports are those of last time."""
    assert decided(file).values == decided(file).values


def test_only_the_owner_reads_it(file: Path) -> None:
    """The file has passwords in it."""
    decided(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_shell_reads_it(file: Path) -> None:
    """Each line is an assignment that a shell and Docker Compose understand."""
    values = decided(file).values
    assert dict(part.split("=", 1) for part in shlex.split(file.read_text())) == values
    assert all("\n" not in value and "$" not in value for value in values.values())


def test_a_port_that_was_taken_since_is_replaced(file: Path) -> None:
    """A service that cannot have its port gets another one; those that are free stay."""
    before = decided(file)
    with socket.create_server(("127.0.0.1", int(before.values["NILECARE_LAB_PORT"]))):
        after = decided(file)
    assert after.url("lab") != before.url("lab")
    assert after.url("billing") == before.url("billing")


def test_each_account_has_its_own_password(file: Path) -> None:
    """Every service's password is another one, and none is the administrators'."""
    values = decided(file).values
    passwords = [values[f"{service.name.upper()}_PASSWORD"] for service in services()]
    assert len({*passwords, values["SERVERS_PASSWORD"], values["NILECARE_SECRET"]}) == len(passwords) + 2


def test_a_journal_is_kept_unless_somebody_says_otherwise(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pages about flows need one; what was said once stays."""
    monkeypatch.delenv("NILECARE_JOURNAL", raising=False)
    assert decided(file).values["NILECARE_JOURNAL"] == "on"
    monkeypatch.setenv("NILECARE_JOURNAL", "off")
    assert decided(file).values["NILECARE_JOURNAL"] == "off"
    monkeypatch.delenv("NILECARE_JOURNAL")
    assert decided(file).values["NILECARE_JOURNAL"] == "off"


def test_a_shell_that_read_the_file_gives_no_servers(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Addresses that come from the file itself are not taken for somebody else's servers; others are."""
    development = decided(file)
    for name, value in development.local_servers.environment().items():
        monkeypatch.setenv(name, value)
    assert development.given_servers() is None
    monkeypatch.setenv("NILECARE_AMQP_URL", "amqp://somebody@elsewhere/")
    given = development.given_servers()
    assert given
    assert given.amqp_url == "amqp://somebody@elsewhere/"
