"""The world outside of the hospital, simulated: a card provider that a test can silence, mailboxes, phones."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from datetime import timedelta
from typing import Any, Self

from fastapi import FastAPI, Request, Response

from broker import Service
from broker._http import PREFIX
from broker._listener import Listener
from broker.testing import World
from nilecare.simulator import CardSimulator, MailSink, MessageGateway

POLL = timedelta(hours=1)
"""Of business time, between two readings of the ledger."""


class Provider(CardSimulator):
    """The card provider, which a test can keep from saying what became of a request."""

    def __init__(self, *, secret: str) -> None:
        super().__init__(secret=secret, slow=0.1)
        self.speaks = asyncio.Event()
        self.speaks.set()

    def app(self) -> FastAPI:
        app = super().app()

        @app.middleware("http")
        async def wait_to_speak(request: Request, answer: Any) -> Response:
            if request.url.path.startswith("/v1/requests/"):
                await self.speaks.wait()
            response: Response = await answer(request)
            return response

        return app

    @contextmanager
    def silent(self) -> Iterator[None]:
        """Inside, nobody is told what became of a request."""
        self.speaks.clear()
        try:
            yield
        finally:
            self.speaks.set()


class Ledger:
    """The Stellar network, as Horizon shows what arrived at the hospital's account."""

    account, asset, issuer = "GHOSPITAL", "USDC", "GISSUER"

    def __init__(self) -> None:
        self._records: list[dict[str, Any]] = []

    def arrives(self, quantity: str, memo: str, *, asset: str = asset) -> str:
        """Somebody transfers something; the transfer's id."""
        id_ = str(1000 + len(self._records))
        transfer = {"to": self.account, "asset_code": asset, "asset_issuer": self.issuer, "amount": quantity}
        said = {"id": id_, "paging_token": id_, "type": "payment", "created_at": "2026-03-02T12:00:00Z"}
        self._records.append({**said, **transfer, "transaction": {"memo_type": "text", "memo": memo}})
        return id_

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        """Horizon, inside the block; gives its address."""
        app = FastAPI()
        app.add_api_route("/accounts/{account}/payments", self._page)
        listener = Listener(app, "127.0.0.1", 0)
        await listener.start()
        try:
            yield f"http://127.0.0.1:{listener.port}"
        finally:
            await listener.stop()

    async def _page(self, account: str, cursor: int) -> dict[str, Any]:
        return {"_embedded": {"records": [record for record in self._records if int(record["paging_token"]) > cursor]}}


class Outside(World):
    """Who is called by the hospital, and calls it back: about money, and about what was told to whom."""

    def __init__(self) -> None:
        self.secret = secrets.token_hex(16)
        self.provider = Provider(secret=self.secret)
        self.mails = MailSink(secret=self.secret)
        self.messages = MessageGateway(secret=self.secret)
        self.ledger = Ledger()
        self.answering = (self.provider.webhooks, self.mails.receipts, self.messages.receipts)
        self._addresses: dict[str, str] = {}

    @classmethod
    @asynccontextmanager
    async def serving(cls) -> AsyncIterator[Self]:
        """All of it can be reached inside the block."""
        outside = cls()
        async with AsyncExitStack() as stack:
            outside._addresses = {
                "card_provider": await stack.enter_async_context(outside.provider.serving()),
                "smtp": await stack.enter_async_context(outside.mails.serving()),
                "message_gateway": await stack.enter_async_context(outside.messages.serving()),
                "stellar": await stack.enter_async_context(outside.ledger.serving()),
            }
            yield outside

    def settings(self, service: Service, addresses: Mapping[str, str]) -> Mapping[str, str]:
        """Where it is, for those who call; for the pages, where people sign in."""
        self.provider.webhooks.url = f"{addresses['payment']}{PREFIX}/webhooks/card"
        for inbox in (self.mails, self.messages):
            inbox.receipts.url = f"{addresses['notification']}{PREFIX}/receipts"
        if service.pages is not None:
            return {"auth": addresses["auth"]}
        if not service.calls:
            return {}
        return {
            **self._addresses,
            "card_provider_secret": self.secret,
            "message_gateway_secret": self.secret,
            "mail_from": "hospital@nile.example",
            "stellar_account": self.ledger.account,
            "stellar_asset_code": self.ledger.asset,
            "stellar_asset_issuer": self.ledger.issuer,
            "stellar_poll_seconds": str(POLL.seconds),
        }
