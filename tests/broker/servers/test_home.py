"""A stack's folder and its processes: nobody else's, and nothing that a crash left is in the way."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
import pytest

from broker.servers import StackError, home, processes
from broker.servers.home import Home, may_enter
from broker.servers.ports import free_ports, is_free
from broker.servers.processes import MARK

STRANGER = pwd.struct_passwd(("stranger", "x", 54_321, 54_321, "", "/", "/bin/sh"))


@pytest.fixture(autouse=True)
def local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout of this test's own."""
    monkeypatch.setattr(home, "LOCAL", tmp_path / ".local")
    return tmp_path / ".local"


def linger(folder: Path) -> psutil.Popen:
    """A process of the stack in `folder` that does nothing until it is ended."""
    log = folder.parent / "log"
    return processes.spawn([sys.executable, "-c", "import signal; signal.pause()"], home=folder, cwd=folder.parent, log=log)


def test_two_runs_at_once_have_two_homes() -> None:
    """Who comes second gets a folder of its own, and the first one's again when that is over."""
    first, second = Home.take("run"), Home.take("run")
    assert (first.folder.name, second.folder.name) == ("run", "run-2")
    first.give_back()
    third = Home.take("run")
    assert third.folder == first.folder
    for taken in (second, third):
        taken.give_back()


def test_a_home_that_there_is_one_of_is_refused_while_it_is_taken() -> None:
    """Two `make up` at once: the second is told."""
    first = Home.take("up", only=True)
    with pytest.raises(StackError, match="somebody else is at work"):
        Home.take("up", only=True)
    first.give_back()


def test_what_a_crash_left_running_is_ended(local: Path) -> None:
    """The next holder of a home ends every process that still belongs to it, and only those."""
    crashed = Home.take("run")
    left, other = linger(crashed.folder), linger(local / "other")
    crashed.give_back()
    Home.take("run").give_back()
    assert left.wait(10) is not None
    assert other.poll() is None
    assert processes.end_all(local / "other") == 1


def test_processes_of_processes_are_found(local: Path) -> None:
    """What a marked process starts belongs to the stack too, also when its parent has gone."""
    local.mkdir()
    code = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import signal; signal.pause()'])"
    parent = processes.spawn([sys.executable, "-c", code], home=local / "run", cwd=local, log=local / "log")
    parent.wait(10)
    assert processes.end_all(local / "run", orderly=True) == 1


def test_a_name_that_begins_alike_is_not_the_same(local: Path) -> None:
    """`run-2` is not a part of `run`."""
    second = Home.take("run-2")
    process = linger(second.folder)
    assert processes.end_all(local / "run") == 0
    assert processes.end_all(local / "run-2") == 1
    assert process.wait(10) is not None


def test_this_process_is_never_ended(local: Path) -> None:
    """Who ends all processes of a folder may carry its mark."""
    code = f"from pathlib import Path; from broker.servers import processes; print(processes.end_all(Path({str(local)!r})))"
    environment = {**os.environ, MARK: str(local / "run")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "0\n"


def test_a_folder_behind_a_closed_one_is_known() -> None:
    """Whether an account can enter a folder depends on every folder above it."""
    with TemporaryDirectory() as closed:
        inner = Path(closed) / "inner"
        inner.mkdir(mode=0o755)
        Path(closed).chmod(0o755)
        assert may_enter(inner, STRANGER)
        Path(closed).chmod(0o700)
        assert not may_enter(inner, STRANGER)


def test_what_need_not_last_lies_in_memory_where_there_is_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And on disk where there is none; both are gone when the stack is."""
    memory = tmp_path / "memory"
    memory.mkdir()
    monkeypatch.setattr(home, "_IN_MEMORY", memory)
    monkeypatch.setattr(home, "_ROOM", 0)
    taken = Home.take("run")
    passing, lasting = taken.path_for(None, "passing", lasting=False), taken.path_for(None, "lasting", lasting=True)
    assert passing.is_relative_to(memory)
    assert lasting.is_relative_to(taken.folder)
    monkeypatch.setattr(home, "_ROOM", sys.maxsize)
    assert taken.path_for(None, "no room", lasting=False).is_relative_to(taken.folder)
    taken.clear()
    assert not passing.exists()
    assert not lasting.exists()
    taken.give_back()


def test_what_an_earlier_run_left_in_memory_is_emptied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of a run of which nothing else is left are nobody's."""
    monkeypatch.setattr(home, "_IN_MEMORY", tmp_path)
    monkeypatch.setattr(home, "_ROOM", 0)
    taken = Home.take("run")
    left = taken.path_for(None, "data", lasting=False) / "file"
    left.touch()
    assert taken.path_for(None, "data", lasting=False) == left.parent
    assert left.exists()
    (taken.folder / "data").unlink()
    assert taken.path_for(None, "data", lasting=False) == left.parent
    assert not left.exists()
    taken.clear()
    taken.give_back()


def test_ports_are_free_and_different() -> None:
    """Free ports are what the name says."""
    ports = free_ports(20)
    assert len(set(ports)) == 20
    assert all(is_free(port) for port in ports)
