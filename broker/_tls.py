"""Whom HTTPS servers are vouched for by: read once in a process, since reading it takes longer than most requests."""

from __future__ import annotations

import ssl
from functools import cache

import httpx


@cache
def authorities() -> ssl.SSLContext:
    """The certificate authorities that every HTTP client here trusts: `httpx.AsyncClient(verify=authorities())`."""
    return httpx.create_ssl_context()
