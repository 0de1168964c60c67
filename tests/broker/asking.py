"""A client of a service that has some routes, over a database of its own."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import httpx

from broker import Router, Service, Settings, issue_token, new_key
from broker._database import Database
from broker._http import PREFIX, application
from broker._tokens import key_set_of

KEY = new_key()
SETTINGS = Settings(database_url="", amqp_url="", key_set=key_set_of(KEY))
IMPATIENT = replace(SETTINGS, replica_patience=timedelta(milliseconds=20))
"""Of a service that waits for no replica any longer than that."""


def bearer(*roles: str) -> str:
    """A token for these roles, as a header has it."""
    return f"Bearer {issue_token(KEY, subject='n1', roles=roles, facilities=None, lifetime=timedelta(minutes=5))}"


def client(service: Service, router: Router, settings: Settings, database: Database) -> httpx.AsyncClient:
    """Asks the service, whose API these routes are."""
    app = application(replace(service, api=router, trusts_auth=False), settings, database)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    headers = {"Authorization": bearer("nurse")}
    return httpx.AsyncClient(transport=transport, base_url=f"http://service{PREFIX}", headers=headers)
