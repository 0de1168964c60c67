"""What `make up` does before it starts containers."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from broker.servers import StackError
from nilecare.platform import services
from nilecare.stack.compose import Compose
from nilecare.stack.development import Development


def test_nothing_is_started_on_data_whose_passwords_are_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where an earlier platform's volumes are there and its settings are not, `up` says what to remove."""
    docker = tmp_path / "docker"
    docker.write_text('#!/bin/sh\n[ "$1" = volume ] && echo nilecare-1_postgres || exit 1\n')
    docker.chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    development = Development(services(), tmp_path / ".env")
    with pytest.raises(StackError, match="docker volume rm nilecare-1_postgres"):
        Compose(development).up()
    assert not development.file.exists()
