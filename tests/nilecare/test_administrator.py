"""`nilecare administrator`: the first one, with nothing but auth's database."""

from __future__ import annotations

import json
import secrets

import pytest
from click.testing import CliRunner, Result

from broker.servers import Servers
from broker.testing.scratch import Databases
from nilecare.administrator import command
from services.auth.app import service
from services.auth.rules import SHORTEST_PASSWORD


@pytest.fixture
async def environment(database: Databases, monkeypatch: pytest.MonkeyPatch, servers: Servers) -> None:
    """As auth itself has it in production."""
    for name in ("NILECARE_SECRET", "NILECARE_OUTSIDE_AUTH_KEY_SECRET"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NILECARE_DATABASE_URL", await database(tables=service.tables, migrations=service.migrations))
    monkeypatch.setenv("NILECARE_AMQP_URL", servers.amqp_url)
    monkeypatch.setenv("NILECARE_OUTSIDE_AUTH_KEY_SECRET", secrets.token_hex())


def appointed(*arguments: str, given: str | None = None) -> Result:
    return CliRunner().invoke(command, ["--json", *arguments], input=given)


@pytest.mark.usefixtures("environment")
def test_there_is_a_first_administrator() -> None:
    """It prints a password that nobody else knows, once: whoever comes second is told that there is an administrator."""
    first = json.loads(appointed("First@example.org").output)
    assert first["email"] == "first@example.org"
    assert len(first["password"]) >= SHORTEST_PASSWORD
    second = appointed("second@example.org")
    assert second.exit_code == 1
    assert "There is a platform administrator already" in second.output


@pytest.mark.usefixtures("environment")
def test_a_password_of_ones_own() -> None:
    """Read from standard input, so that it stands in no list of processes; and not printed."""
    assert appointed("first@example.org", "--password-stdin", given="short\n").exit_code == 2
    assert appointed("first@example.org", "--password-stdin", given="long " * 60).exit_code == 2
    done = appointed("first@example.org", "--password-stdin", given="a password of one's own\n")
    assert done.exit_code == 0
    assert set(json.loads(done.output)) == {"user_id", "email"}


@pytest.mark.usefixtures("environment")
def test_without_auths_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """It needs what auth itself needs, and names it."""
    monkeypatch.delenv("NILECARE_OUTSIDE_AUTH_KEY_SECRET")
    refused = appointed("first@example.org")
    assert refused.exit_code == 1
    assert "NILECARE_OUTSIDE_AUTH_KEY_SECRET" in refused.output
