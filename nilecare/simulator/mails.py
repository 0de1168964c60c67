"""A mail server that delivers to nobody: it keeps what it takes, and refuses on request.

The mailbox's name, up to a "+", says how it goes:

| mailbox | what happens |
|---|---|
| bounces@ | refused for good: there is no such mailbox (550 5.1.1) |
| blocked@ | refused for good: the sender is not welcome (550 5.7.1) |
| busy@ | refused for now (450 4.2.1), twice |
| spam@ | refused for good after it was read (554 5.6.0) |
| lost@ | taken, and the connection dropped before that is said, once |
| late-bounces@ | taken, and bounced in a receipt afterwards |
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from email import message_from_bytes, policy
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope, Session

from nilecare.simulator.receipts import Receipts

REFUSED: Mapping[str, str] = {
    "bounces": "550 5.1.1 There is no such mailbox",
    "blocked": "550 5.7.1 The sender is not welcome",
}
BUSY = "450 4.2.1 The mailbox is busy"
TIMES_BUSY = 2
SPECIAL = frozenset({*REFUSED, "busy", "spam", "lost", "late-bounces"})


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail, as its recipient would see it."""

    message_id: str
    sender: str
    to: str
    subject: str
    body: str

    def shown(self) -> dict[str, str]:
        """As JSON shows it."""
        return asdict(self)


class MailSink:
    """A mail server with its inbox in memory. What comes again under its Message-ID is one mail; `taken` counts every time.

    receipts_url: where it tells what became of a mail, with the secret; nowhere when None.
    """

    def __init__(self, *, secret: str = "", receipts_url: str | None = None) -> None:
        self.receipts = Receipts(receipts_url, secret)
        self.taken: Counter[str] = Counter()
        self._mails: dict[str, Mail] = {}
        self._busy: Counter[str] = Counter()

    @property
    def mails(self) -> list[Mail]:
        """The inbox, the oldest first."""
        return list(self._mails.values())

    def mails_to(self, address: str) -> list[Mail]:
        """What came for one address."""
        return [mail for mail in self.mails if mail.to == address]

    @asynccontextmanager
    async def serving(self, *, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
        """Takes mail inside the block; gives its address. Port 0 takes a free one."""
        # It would write every address into the log of the process.
        logging.getLogger("mail.log").setLevel(logging.ERROR)
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: SMTP(self, hostname="sink.invalid", loop=loop), host, port)
        try:
            yield f"smtp://{host}:{server.sockets[0].getsockname()[1]}"
        finally:
            server.close()
            await self.receipts.close()

    async def handle_RCPT(  # noqa: N802 (aiosmtpd calls it so)
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Takes a recipient, or not."""
        name = _name(address)
        if name in REFUSED:
            return REFUSED[name]
        if name == "busy" and self._busy[address] < TIMES_BUSY:
            self._busy[address] += 1
            return BUSY
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 (aiosmtpd calls it so)
        """Takes a mail, or not."""
        [to] = envelope.rcpt_tos
        if _name(to) == "spam":
            return "554 5.6.0 This looks like spam"
        mail = _read(envelope.content, envelope.mail_from or "", to)
        self.taken[mail.message_id] += 1
        if mail.message_id in self._mails:
            return "250 OK"
        self._mails[mail.message_id] = mail
        self._tell(mail)
        if _name(to) == "lost" and isinstance(server.transport, asyncio.Transport):
            server.transport.abort()
        return "250 OK"

    def _tell(self, mail: Mail) -> None:
        reference = mail.message_id.strip("<>").partition("@")[0]
        if _name(mail.to) == "late-bounces":
            self.receipts.tell(reference, "bounced", "550")
        else:
            self.receipts.tell(reference, "delivered")


def _name(address: str) -> str:
    return address.partition("@")[0].partition("+")[0]


def _read(content: Any, sender: str, to: str) -> Mail:
    message = message_from_bytes(content, policy=policy.default)
    body = message.get_body(preferencelist=("plain",))
    text = "" if body is None else str(body.get_content()).replace("\r\n", "\n")
    return Mail(str(message["Message-ID"]), sender, to, str(message["Subject"]), text)
