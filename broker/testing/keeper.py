"""One set of servers for a whole test run: held by pytest's first process, asked for by its workers."""

from __future__ import annotations

import os
import secrets
import threading
from multiprocessing.connection import Client, Listener

from broker.servers import Servers, StackError, start_stack

KEEPER = "NILECARE_TEST_STACK_KEEPER"
"""Where workers, and pytest runs inside tests, find the one that holds the servers."""


def servers_of_this_run() -> Servers:
    """The servers that the environment names, or those that this run's keeper holds. Raises StackError."""
    given = Servers.given()
    if given is not None:
        return given
    key, address = os.environ[KEEPER].split(" ", 1)
    with Client(address, family="AF_UNIX", authkey=bytes.fromhex(key)) as line:
        line.send("servers")
        answer = line.recv()
    if isinstance(answer, StackError):
        raise answer
    assert isinstance(answer, Servers)
    return answer


class StackKeeper:
    """Holds one stack for a whole test run, in pytest's first process; its workers ask for the addresses.

    It starts the servers when they are first asked for, and the run ends them.
    """

    def __init__(self) -> None:
        self._key = secrets.token_bytes(16)
        self._listener = Listener(family="AF_UNIX", authkey=self._key)
        self._stack = start_stack("test")
        self._thread = threading.Thread(target=self._serve, daemon=True, name="stack keeper")

    def pytest_configure(self) -> None:
        os.environ[KEEPER] = f"{self._key.hex()} {self._listener.address}"
        self._thread.start()

    def pytest_unconfigure(self) -> None:
        self._answer_to(None)
        self._thread.join()
        self._listener.close()
        self._stack.close()

    def _answer_to(self, question: object) -> None:
        with Client(self._listener.address, family="AF_UNIX", authkey=self._key) as line:
            line.send(question)

    def _serve(self) -> None:
        started: Servers | StackError | None = None
        while True:
            with self._listener.accept() as line:
                if line.recv() is None:
                    return
                started = started or self._start()
                line.send(started)

    def _start(self) -> Servers | StackError:
        try:
            return self._stack.start().servers
        except StackError as failure:
            return failure
