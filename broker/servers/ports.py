"""Ports for private servers."""

from __future__ import annotations

import random
import socket

# Below the range from which the system takes ports for outgoing connections, so that nobody's client sits on the port of a
# server that is down for a moment.
_RANGE = range(20_000, 30_000)


def free_ports(count: int) -> list[int]:
    """So many different ports that nobody listens on. Chosen at random, so that neighbours seldom want the same."""
    chosen: list[int] = []
    for port in random.SystemRandom().sample(_RANGE, len(_RANGE)):
        if len(chosen) == count:
            break
        if is_free(port):
            chosen.append(port)
    return chosen


def is_free(port: int) -> bool:
    """Whether nobody listens on the port."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError:
            return False
        return True
