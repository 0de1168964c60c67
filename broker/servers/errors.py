"""What can go wrong with the servers."""

from __future__ import annotations


class StackError(Exception):
    """The servers cannot be had or did not start; the message says why and what can be done."""


class Unavailable(StackError):
    """One way to get servers is not open on this machine; the next one is tried."""
