"""The simulated card provider's HTTP side."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from decimal import Decimal
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Header, HTTPException
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field
from starlette.background import BackgroundTask
from starlette.types import Receive, Scope, Send

from broker._listener import Listener
from nilecare.simulator.ledger import Answer, KeyUsedForAnotherRequest, Ledger, NoSuchToken, NothingOfThisId, TooMuch
from nilecare.simulator.telling import LOST, Telling
from nilecare.simulator.webhooks import Webhooks

SLOW = 1.0
"""Seconds that tok_slow takes to answer."""


Amount = Annotated[Decimal, Field(gt=0, max_digits=14, decimal_places=2)]
Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
Reference = Annotated[str, Field(min_length=1, max_length=100)]
Key = Annotated[str, Header(alias="Idempotency-Key")]


class Authorisation(BaseModel):
    """A request to hold an amount on a card."""

    reference: Reference
    amount: Amount
    currency: Currency
    token: str
    account: str = ""


class Capture(BaseModel):
    """A request to take of what is held: all of it, if nothing is said."""

    amount: Amount | None = None
    is_final: bool = True


class Refunding(BaseModel):
    """A request to give money back."""

    reference: Reference
    amount: Amount
    currency: Currency


class Evidence(BaseModel):
    """A request to tell the payer's bank the merchant's side."""

    text: str


class LostAnswer(Response):
    """An answer that breaks off before its end, with the connection."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1")]})
        if self.background is not None:
            await self.background()


class CardSimulator:
    """A card provider with its state in memory.

    secret: authorises the merchant's calls and signs the webhooks. webhook_url: where events go; nowhere when None.
    """

    def __init__(self, *, secret: str, webhook_url: str | None = None, slow: float = SLOW) -> None:
        self.ledger = Ledger()
        self.webhooks = Webhooks(webhook_url, secret)
        self._secret = secret
        self._slow = slow
        self._telling = Telling(self.ledger)

    @asynccontextmanager
    async def serving(self, *, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
        """Answers requests inside the block; gives its address. Port 0 takes a free one."""
        listener = Listener(self.app(), host, port)
        await listener.start()
        try:
            yield f"http://{host}:{listener.port}"
        finally:
            await self.webhooks.close()
            await listener.stop()

    def app(self) -> FastAPI:
        """The application that serves it."""
        app = FastAPI(title="Card provider simulator", docs_url=None, redoc_url=None)
        router = APIRouter(prefix="/v1", dependencies=[Depends(self._authorised)])
        router.add_api_route("/payments", self._authorise, methods=["POST"])
        router.add_api_route("/payments/{payment_id}/capture", self._capture, methods=["POST"])
        router.add_api_route("/payments/{payment_id}/cancel", self._cancel, methods=["POST"])
        router.add_api_route("/payments/{payment_id}/refunds", self._refund, methods=["POST"])
        router.add_api_route("/disputes/{dispute_id}/evidence", self._take_evidence, methods=["POST"])
        router.add_api_route("/payments/{payment_id}", self._show, methods=["GET"])
        router.add_api_route("/requests/{key}", self._look_up, methods=["GET"])
        router.add_api_route("/settlements/{account}", self._settle, methods=["GET"])
        app.include_router(router)
        return app

    async def _authorised(self, authorization: Annotated[str, Header()] = "") -> None:
        if not hmac.compare_digest(authorization.encode(), f"Bearer {self._secret}".encode()):
            raise HTTPException(401)

    async def _authorise(self, asked: Authorisation, key: Key) -> Response:
        with refusals():
            return await self._reply(self.ledger.authorise(key, **dict(asked)))

    async def _capture(self, payment_id: str, key: Key, asked: Capture | None = None) -> Response:
        with refusals():
            return await self._reply(self.ledger.capture(key, payment_id, **dict(asked or Capture())))

    async def _cancel(self, payment_id: str, key: Key) -> Response:
        with refusals():
            return await self._reply(self.ledger.cancel(key, payment_id))

    async def _refund(self, payment_id: str, asked: Refunding, key: Key) -> Response:
        with refusals():
            return await self._reply(self.ledger.refund(key, payment_id, **dict(asked)))

    async def _take_evidence(self, dispute_id: str, asked: Evidence, key: Key) -> Response:
        with refusals():
            return await self._reply(self.ledger.take_evidence(key, dispute_id, asked.text))

    async def _show(self, payment_id: str) -> Response:
        with refusals():
            return JSONResponse(self.ledger.payment(payment_id).shown())

    async def _settle(self, account: str) -> Response:
        return JSONResponse(self.ledger.settlement(account))

    async def _look_up(self, key: str) -> Response:
        answer = self.ledger.answered(key)
        if answer is None:
            raise HTTPException(404)
        return JSONResponse(answer.body, answer.status_code)

    async def _reply(self, answer: Answer) -> Response:
        """The answer, late or lost when its token says so, with its webhooks before or after it."""
        token = answer.token
        if not answer.is_new:
            return JSONResponse(answer.body, answer.status_code)
        events = self._telling.events(answer)
        if token == "tok_webhook_first":  # noqa: S105 (a test card)
            await asyncio.gather(*self._send(events, token))
            return JSONResponse(answer.body, answer.status_code)
        if token == "tok_slow":  # noqa: S105 (a test card)
            await asyncio.sleep(self._slow)
        tell = BackgroundTask(self._tell, events, token)
        if token in LOST:
            return LostAnswer(background=tell)
        return JSONResponse(answer.body, answer.status_code, background=tell)

    async def _tell(self, events: list[dict[str, Any]], token: str) -> None:
        self._send(events, token)

    def _send(self, events: list[dict[str, Any]], token: str) -> list[asyncio.Task[None]]:
        times = 2 if token == "tok_duplicate_webhook" else 1  # noqa: S105 (a test card)
        return [self.webhooks.send(event, times=times) for event in events]


@contextmanager
def refusals() -> Iterator[None]:
    """What the ledger refuses, as HTTP says it."""
    try:
        yield
    except NoSuchToken:
        raise HTTPException(400, "There is no card behind this token.") from None
    except NothingOfThisId:
        raise HTTPException(404) from None
    except TooMuch:
        raise HTTPException(400, "This is more than there is.") from None
    except KeyUsedForAnotherRequest:
        raise HTTPException(422, "This Idempotency-Key was used for another request.") from None
