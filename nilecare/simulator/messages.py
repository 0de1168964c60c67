"""A gateway for text and push messages that reaches nobody: it keeps what it takes, and refuses on request.

The end of a number, or of a device's token, says how it goes:

| ends with | what happens |
|---|---|
| 0550 | refused for good: there is no such device (422) |
| 0450 | refused for now (503), twice |
| 0499 | taken, and the connection dropped before that is said, once |
| 0500 | an error of ours, each time: nobody knows whether it was taken (500) |
| 0551 | taken, and bounced in a receipt afterwards |
"""

from __future__ import annotations

import hmac
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from typing import Annotated, Literal

from fastapi import Depends, FastAPI, Header, HTTPException
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field

from broker._listener import Listener
from nilecare.simulator.mails import MailSink
from nilecare.simulator.receipts import Receipts
from nilecare.simulator.server import LostAnswer

NO_SUCH_DEVICE, BUSY, LOST, BROKEN, LATE = "0550", "0450", "0499", "0500", "0551"
ENDINGS = frozenset({NO_SUCH_DEVICE, BUSY, LOST, BROKEN, LATE})
TIMES_BUSY = 2


class NewMessage(BaseModel):
    """A message to one device."""

    channel: Literal["sms", "push"]
    to: Annotated[str, Field(min_length=1, max_length=500)]
    text: Annotated[str, Field(min_length=1, max_length=2000)]


@dataclass(frozen=True, slots=True)
class Message:
    """A message, as its recipient would see it."""

    key: str
    channel: str
    to: str
    text: str

    def shown(self) -> dict[str, str]:
        """As JSON shows it."""
        return asdict(self)


class MessageGateway:
    """A gateway with its inbox in memory. What comes again under its Idempotency-Key is one message; `taken` counts every time.

    secret: authorises messages and receipts. receipts_url: where receipts go; nowhere when None. mails: the inbox to show
    beside its own.
    """

    def __init__(self, *, secret: str, receipts_url: str | None = None, mails: MailSink | None = None) -> None:
        self.receipts = Receipts(receipts_url, secret)
        self.taken: Counter[str] = Counter()
        self._secret = secret
        self._mails = mails
        self._messages: dict[str, Message] = {}
        self._busy: Counter[str] = Counter()

    @property
    def messages(self) -> list[Message]:
        """The inbox, the oldest first."""
        return list(self._messages.values())

    def messages_to(self, address: str) -> list[Message]:
        """What came for one number or device."""
        return [message for message in self.messages if message.to == address]

    @asynccontextmanager
    async def serving(self, *, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
        """Answers requests inside the block; gives its address. Port 0 takes a free one."""
        listener = Listener(self.app(), host, port)
        await listener.start()
        try:
            yield f"http://{host}:{listener.port}"
        finally:
            await self.receipts.close()
            await listener.stop()

    def app(self) -> FastAPI:
        """The application that serves it."""
        app = FastAPI(title="Message gateway simulator", docs_url=None, redoc_url=None)
        closed = [Depends(self._authorised)]
        app.add_api_route("/messages", self._take, methods=["POST"], dependencies=closed)
        app.add_api_route("/messages", self._show_messages, methods=["GET"], dependencies=closed)
        app.add_api_route("/mails", self._show_mails, methods=["GET"], dependencies=closed)
        app.add_api_route("/health/ready", self._is_ready, methods=["GET"])
        return app

    async def _authorised(self, authorization: Annotated[str, Header()] = "") -> None:
        if not hmac.compare_digest(authorization.encode(), f"Bearer {self._secret}".encode()):
            raise HTTPException(401)

    async def _take(self, asked: NewMessage, idempotency_key: Annotated[str, Header()]) -> Response:
        if asked.to.endswith(NO_SUCH_DEVICE):
            raise HTTPException(422, "There is no such device.")
        if asked.to.endswith(BUSY) and self._busy[asked.to] < TIMES_BUSY:
            self._busy[asked.to] += 1
            raise HTTPException(503)
        self.taken[idempotency_key] += 1
        if asked.to.endswith(BROKEN):
            raise HTTPException(500)
        if idempotency_key in self._messages:
            return JSONResponse({"reference": idempotency_key}, 202)
        message = Message(idempotency_key, asked.channel, asked.to, asked.text)
        self._messages[idempotency_key] = message
        self._tell(message)
        return LostAnswer() if asked.to.endswith(LOST) else JSONResponse({"reference": idempotency_key}, 202)

    def _tell(self, message: Message) -> None:
        if message.to.endswith(LATE):
            self.receipts.tell(message.key, "bounced", "422")
        else:
            self.receipts.tell(message.key, "delivered")

    async def _show_messages(self) -> list[dict[str, str]]:
        return [message.shown() for message in self.messages]

    async def _show_mails(self) -> list[dict[str, str]]:
        return [] if self._mails is None else [mail.shown() for mail in self._mails.mails]

    async def _is_ready(self) -> dict[str, str]:
        """For who may not know the secret: the container's health check."""
        return {"status": "ready"}
