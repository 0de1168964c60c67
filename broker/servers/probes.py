"""Whether a server answers in its own protocol: an open port alone says nothing."""

from __future__ import annotations

import base64
import contextlib
import http.client
import socket
import struct
import time
from collections.abc import Callable
from urllib.parse import unquote, urlsplit

from broker.servers.errors import StackError

_SECONDS = 2.0


def postgres_answers(port: int) -> bool:
    """Whether PostgreSQL takes new sessions. It gets as far as being asked for a password."""
    parameters = b"user\0postgres\0database\0postgres\0\0"
    startup = struct.pack("!ii", 8 + len(parameters), 196608) + parameters
    return _first_byte(port, startup) == b"R"


def rabbitmq_answers(port: int, management_url: str) -> bool:
    """Whether RabbitMQ speaks AMQP and its management API knows our account."""
    if _first_byte(port, b"AMQP\x00\x00\x09\x01") != b"\x01":
        return False
    with contextlib.suppress(OSError, http.client.HTTPException):
        return _asked(f"{management_url}/api/whoami") == http.HTTPStatus.OK
    return False


def wait_until(answers: Callable[[], bool], *, what: str, alive: Callable[[], bool], seconds: float) -> None:
    """Waits until `answers`. Raises StackError when the process is no longer alive, or after so many seconds."""
    deadline = time.monotonic() + seconds
    while not answers():
        if not alive():
            raise StackError(f"{what} ended while it was starting")
        if time.monotonic() > deadline:
            raise StackError(f"{what} did not answer within {seconds:.0f} seconds")
        time.sleep(0.05)


def _asked(url: str) -> int:
    """The status that this address gives its account. No client prepares for TLS here: it is asked many times a second."""
    parts = urlsplit(url)
    known = base64.b64encode(f"{unquote(parts.username or '')}:{unquote(parts.password or '')}".encode()).decode()
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=_SECONDS)
    with contextlib.closing(connection):
        connection.request("GET", parts.path, headers={"Authorization": f"Basic {known}"})
        return connection.getresponse().status


def _first_byte(port: int, greeting: bytes) -> bytes:
    with (
        contextlib.suppress(OSError),
        socket.create_connection(("127.0.0.1", port), timeout=_SECONDS) as connection,
    ):
        connection.sendall(greeting)
        return connection.recv(1)
    return b""
