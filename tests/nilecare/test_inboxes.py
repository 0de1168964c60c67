"""The simulated mail server and message gateway, as servers."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Any
from urllib.parse import urlsplit

import aiosmtplib
import httpx
import pytest
from fastapi import FastAPI, Request

from broker._listener import Listener
from nilecare.simulator import MailSink, MessageGateway, mails, messages

SECRET = "gw_test"
TEXT = {"channel": "sms", "to": "+249900000001", "text": "Invoice 7 is due."}


@dataclass
class Sender:
    """Takes receipts, and keeps them."""

    url: str = ""
    receipts: list[dict[str, Any]] = field(default_factory=list)

    async def take(self, request: Request) -> None:
        """Takes a receipt."""
        assert request.headers["Authorization"] == f"Bearer {SECRET}"
        self.receipts.append(await request.json())


@pytest.fixture
async def sender() -> AsyncIterator[Sender]:
    sender, app = Sender(), FastAPI()
    app.add_api_route("/receipts", sender.take, methods=["POST"])
    listener = Listener(app, "127.0.0.1", 0)
    await listener.start()
    sender.url = f"http://127.0.0.1:{listener.port}/receipts"
    yield sender
    await listener.stop()


@dataclass
class Post:
    """The mail server, where it is, and a hand that sends."""

    sink: MailSink
    address: str

    async def send(self, to: str, message_id: str = "<m-1@nile.example>") -> None:
        """Sends a mail; raises what the server says."""
        mail = EmailMessage()
        mail["Message-ID"], mail["Subject"] = message_id, "Grüße"
        mail.set_content("Good morning, Amal.\n.\n")
        where = urlsplit(self.address)
        await aiosmtplib.send(mail, sender="a@nile.example", recipients=[to], hostname=where.hostname, port=where.port)


@pytest.fixture
async def post(sender: Sender) -> AsyncIterator[Post]:
    sink = MailSink(secret=SECRET, receipts_url=sender.url)
    async with sink.serving() as address:
        yield Post(sink, address)


@dataclass
class Gateway:
    """The gateway, and a client that knows its secret."""

    inbox: MessageGateway
    client: httpx.AsyncClient

    async def send(self, to: str, key: str = "k") -> int:
        """Sends a text; gives the status of the answer."""
        reply = await self.client.post("/messages", json={**TEXT, "to": to}, headers={"Idempotency-Key": key})
        return reply.status_code


@pytest.fixture
async def gateway(sender: Sender, post: Post) -> AsyncIterator[Gateway]:
    inbox = MessageGateway(secret=SECRET, receipts_url=sender.url, mails=post.sink)
    headers = {"Authorization": f"Bearer {SECRET}"}
    async with inbox.serving() as address, httpx.AsyncClient(base_url=address, headers=headers) as client:
        yield Gateway(inbox, client)


async def test_mail_is_kept_and_receipted(post: Post, sender: Sender) -> None:
    """As its recipient would read it, once however often it comes."""
    await post.send("amal@example.org")
    await post.send("amal@example.org")
    await post.sink.receipts.idle()
    [mail] = post.sink.mails_to("amal@example.org")
    assert (mail.subject, mail.body, mail.sender) == ("Grüße", "Good morning, Amal.\n.\n", "a@nile.example")
    assert post.sink.taken["<m-1@nile.example>"] == 2
    assert sender.receipts == [{"reference": "m-1", "status": "delivered", "code": ""}]


@pytest.mark.parametrize(("to", "code"), [("bounces@x.org", 550), ("blocked+7@x.org", 550), ("spam@x.org", 554)])
async def test_mail_is_refused_for_good(post: Post, to: str, code: int) -> None:
    """By the mailbox, or for what it says."""
    with pytest.raises(aiosmtplib.SMTPException) as refused:
        await post.send(to)
    said = refused.value.recipients[0] if isinstance(refused.value, aiosmtplib.SMTPRecipientsRefused) else refused.value
    assert isinstance(said, aiosmtplib.SMTPResponseException)
    assert (said.code, post.sink.mails) == (code, [])


async def test_a_mailbox_is_busy_twice(post: Post) -> None:
    """The third attempt goes through."""
    for _ in range(2):
        with pytest.raises(aiosmtplib.SMTPRecipientsRefused):
            await post.send("busy@x.org")
    await post.send("busy@x.org")
    assert len(post.sink.mails) == 1


async def test_the_word_on_a_mail_may_be_lost(post: Post) -> None:
    """It was taken, and nobody was told; sent again, it is the same mail."""
    with pytest.raises(aiosmtplib.SMTPServerDisconnected):
        await post.send("lost@x.org")
    await post.send("lost@x.org")
    assert len(post.sink.mails) == 1


async def test_a_mail_may_bounce_later(post: Post, sender: Sender) -> None:
    """It was taken, and a receipt takes that back."""
    await post.send("late-bounces@x.org")
    await post.sink.receipts.idle()
    assert [receipt["status"] for receipt in sender.receipts] == ["bounced"]


async def test_messages_are_kept_and_receipted(gateway: Gateway, sender: Sender) -> None:
    """Once per Idempotency-Key, and shown to who has the secret alone."""
    assert [await gateway.send(TEXT["to"]) for _ in range(2)] == [202, 202]
    await gateway.inbox.receipts.idle()
    assert (await gateway.client.get("/messages")).json() == [{"key": "k", **TEXT}]
    assert (gateway.inbox.taken["k"], [receipt["status"] for receipt in sender.receipts]) == (2, ["delivered"])
    assert (await gateway.client.get("/mails", headers={"Authorization": "Bearer guessed"})).status_code == 401


@pytest.mark.parametrize(("ending", "statuses"), [("0550", [422, 422]), ("0450", [503, 503, 202])])
async def test_messages_are_refused(gateway: Gateway, ending: str, statuses: list[int]) -> None:
    """For good, or for now."""
    assert [await gateway.send(f"+24990000{ending}") for _ in statuses] == statuses


async def test_the_word_on_a_message_may_be_lost_or_late(gateway: Gateway, sender: Sender) -> None:
    """The connection drops after it was taken; another is taken and bounces."""
    with pytest.raises(httpx.RemoteProtocolError):
        await gateway.send("+249900000499", "a")
    await gateway.send("+249900000551", "b")
    await gateway.inbox.receipts.idle()
    assert [message.key for message in gateway.inbox.messages] == ["a", "b"]
    assert {receipt["reference"]: receipt["status"] for receipt in sender.receipts} == {"a": "delivered", "b": "bounced"}


async def test_what_is_special_is_described() -> None:
    """The documentation names each mailbox and each ending."""
    assert all(f"| {name}@ |" in str(mails.__doc__) for name in mails.SPECIAL)
    assert all(f"| {ending} |" in str(messages.__doc__) for ending in messages.ENDINGS)


async def test_they_run_in_the_simulators_process() -> None:
    """It says where each of them listens, and its gateway shows both inboxes; that it is ready it tells everybody."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        "from nilecare.simulator import command; command(['--port', '0', '--smtp-port', '0', '--messages-port', '0'])",
        env=os.environ | {f"NILECARE_OUTSIDE_{name}_SECRET": SECRET for name in ("CARD_PROVIDER", "MESSAGE_GATEWAY")},
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    lines = [(await process.stdout.readline()).decode() for _ in range(3)]
    _, smtp, address = (line.rsplit(" ", 1)[1].strip() for line in lines)
    await Post(MailSink(), smtp).send("amal@example.org")
    async with httpx.AsyncClient(base_url=address, headers={"Authorization": f"Bearer {SECRET}"}) as client:
        await client.post("/messages", json=TEXT, headers={"Idempotency-Key": "k"})
        inboxes = [(await client.get(inbox)).json() for inbox in ("/mails", "/messages")]
    async with httpx.AsyncClient(base_url=address) as anybody:
        answers = [(await anybody.get(path)).status_code for path in ("/health/ready", "/mails")]
    process.send_signal(signal.SIGTERM)
    assert await process.wait() == 0
    assert [[each["to"] for each in inbox] for inbox in inboxes] == [["amal@example.org"], [TEXT["to"]]]
    assert answers == [200, 401]
