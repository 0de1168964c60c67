"""The mail server and the message gateway, as this service speaks to them.

Settings of the world outside: `smtp` (smtp://[user:password@]host:port; smtps:// for TLS from the first byte), `mail_from`
(an address, or "Name <address>"), `message_gateway` (address) and `message_gateway_secret` (authorises our messages, and the
receipts for them).

Whatever is known not to have been done is "deferred", also when a server cannot be reached: the next attempt, or the next
channel, is this service's decision and not a matter of waiting until the server is back. When the connection is lost after the
message was handed over, nobody knows: it is sent again under the same Message-ID or Idempotency-Key, since a message that comes
twice, recognisably, does less harm than one that never comes. When nobody has known for several attempts, another channel is
tried.

Whoever refuses our own credentials says nothing of the message: that is "not now" too, until somebody has put them right. They
are shown over TLS only.
"""

from __future__ import annotations

from datetime import timedelta
from email.message import EmailMessage
from email.policy import SMTP as WIRE
from email.utils import format_datetime, parseaddr
from urllib.parse import unquote, urlsplit
from uuid import UUID

import aiosmtplib
import httpx
from pydantic import BaseModel

from broker import World, clock, outside, send_again
from contracts.notification import Channel
from services.notification.rules import Verdict

DEADLINE = timedelta(seconds=20)
PATIENCE = 10.0
"""Seconds that a server may take for one answer."""

POLICY = "5.7."
"""Enhanced status codes (RFC 3463) of a server that knows the mailbox and refuses the sender."""

NO_SUCH_ADDRESS = frozenset({httpx.codes.NOT_FOUND, httpx.codes.GONE, httpx.codes.UNPROCESSABLE_ENTITY})
"""What the gateway says of a number or a device that does not exist."""

NOT_NOW = frozenset(
    {
        httpx.codes.UNAUTHORIZED,
        httpx.codes.FORBIDDEN,
        httpx.codes.REQUEST_TIMEOUT,
        httpx.codes.TOO_MANY_REQUESTS,
        httpx.codes.SERVICE_UNAVAILABLE,
    }
)


class Mail(BaseModel):
    """A mail to one person."""

    delivery_id: UUID
    to: str
    locale: str
    subject: str
    body: str


class ShortMessage(BaseModel):
    """A text message or a push message to one device."""

    delivery_id: UUID
    channel: Channel
    to: str
    text: str


class Answer(BaseModel):
    """What the channel says of it."""

    verdict: Verdict
    code: str


NOBODY_KNOWS = send_again(at_most=6, then=Answer(verdict="refused", code="unknown"))


@outside(deadline=DEADLINE, if_unknown=NOBODY_KNOWS, forget=True)
async def send_mail(request: Mail, key: str, world: World) -> Answer:
    """Hands a mail to the mail server. A recipient refused for good is a hard bounce; a message refused for good is not."""
    _, sender = parseaddr(world["mail_from"])
    message = _message(request, key, world["mail_from"], sender)
    smtp = _connection(world["smtp"])
    try:
        await smtp.connect()
        await smtp.mail(sender)
        await smtp.rcpt(request.to)
    except aiosmtplib.SMTPAuthenticationError as refused:
        return Answer(verdict="deferred", code=str(refused.code))
    except aiosmtplib.SMTPRecipientRefused as refused:
        return _refused(refused, "refused" if refused.message.startswith(POLICY) else "bounced")
    except aiosmtplib.SMTPResponseException as refused:
        return _refused(refused, "refused")
    except (OSError, aiosmtplib.SMTPException):
        return Answer(verdict="deferred", code="unreachable")
    else:
        return await _hand_over(smtp, message)
    finally:
        smtp.close()


@outside(deadline=DEADLINE, if_unknown=NOBODY_KNOWS, forget=True)
async def send_short_message(request: ShortMessage, key: str, world: World) -> Answer:
    """Hands a short message to the gateway."""
    headers = {"Idempotency-Key": key, "Authorization": f"Bearer {world['message_gateway_secret']}"}
    message = {"channel": request.channel, "to": request.to, "text": request.text}
    try:
        reply = await world.http.post(f"{world['message_gateway']}/messages", json=message, headers=headers)
    except (httpx.ConnectError, httpx.ConnectTimeout):
        return Answer(verdict="deferred", code="unreachable")
    return _answer(reply)


def _connection(address: str) -> aiosmtplib.SMTP:
    parts = urlsplit(address)
    is_tls = parts.scheme == "smtps"
    return aiosmtplib.SMTP(
        hostname=parts.hostname,
        port=parts.port,
        username=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
        use_tls=is_tls,
        start_tls=True if parts.username and not is_tls else None,
        timeout=PATIENCE,
    )


def _message(request: Mail, key: str, mail_from: str, sender: str) -> bytes:
    """The mail (RFC 5322), marked as written by no person (RFC 3834)."""
    message = EmailMessage(policy=WIRE)
    message["From"], message["To"], message["Subject"] = mail_from, request.to, request.subject
    message["Date"] = format_datetime(clock.now())
    message["Message-ID"] = f"<{key}@{sender.rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"
    message["Content-Language"] = request.locale
    message.set_content(request.body)
    return message.as_bytes()


async def _hand_over(smtp: aiosmtplib.SMTP, message: bytes) -> Answer:
    """From here on a lost connection leaves open whether it was taken: what is raised then says so."""
    try:
        taken = await smtp.data(message)
    except aiosmtplib.SMTPResponseException as refused:
        return _refused(refused, "refused")
    return Answer(verdict="sent", code=str(taken.code))


def _refused(refused: aiosmtplib.SMTPResponseException, for_good: Verdict) -> Answer:
    return Answer(verdict=for_good if refused.code >= 500 else "deferred", code=str(refused.code))


def _answer(reply: httpx.Response) -> Answer:
    code = str(reply.status_code)
    if reply.status_code in NOT_NOW:
        return Answer(verdict="deferred", code=code)
    if reply.status_code in NO_SUCH_ADDRESS:
        return Answer(verdict="bounced", code=code)
    if reply.is_client_error:
        return Answer(verdict="refused", code=code)
    # A server's error may have been a message sent all the same: unknown.
    reply.raise_for_status()
    return Answer(verdict="sent", code=code)
