"""`nilecare simulator`: everything outside, simulated, as a process of its own."""

from __future__ import annotations

import asyncio
import secrets
import signal
from contextlib import AsyncExitStack
from dataclasses import dataclass

import click

from nilecare.simulator.mails import MailSink
from nilecare.simulator.messages import MessageGateway
from nilecare.simulator.server import CardSimulator

PORT = click.IntRange(0, 65535)


@dataclass(frozen=True, slots=True)
class Ports:
    """Where each of them listens; 0 takes a free port."""

    cards: int
    mails: int
    messages: int


@click.command("simulator")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=7031, show_default=True, type=PORT, help="The card provider's; 0 takes a free one.")
@click.option("--smtp-port", default=7025, show_default=True, type=PORT, help="The mail server's; 0 takes a free one.")
@click.option("--messages-port", default=7026, show_default=True, type=PORT, help="The gateway's; 0 takes a free one.")
@click.option("--secret", envvar="NILECARE_OUTSIDE_CARD_PROVIDER_SECRET", required=True, help="Shared with payment.")
@click.option("--webhook-url", default="http://127.0.0.1:7030/api/v1/webhooks/card", show_default=True)
@click.option(
    "--messages-secret",
    envvar="NILECARE_OUTSIDE_MESSAGE_GATEWAY_SECRET",
    default=lambda: secrets.token_hex(16),
    help="Shared with notification; made up, and so known to nobody, when not given.",
)
@click.option("--receipts-url", default="http://127.0.0.1:3002/api/v1/receipts", show_default=True)
def command(
    host: str,
    port: int,
    smtp_port: int,
    messages_port: int,
    secret: str,
    webhook_url: str,
    messages_secret: str,
    receipts_url: str,
) -> None:
    """Run the simulated card provider, mail server and message gateway until they are told to stop.

    The inboxes are shown under /mails and /messages of the gateway, to who has its secret.
    """
    cards = CardSimulator(secret=secret, webhook_url=webhook_url)
    mails = MailSink(secret=messages_secret, receipts_url=receipts_url)
    messages = MessageGateway(secret=messages_secret, receipts_url=receipts_url, mails=mails)
    try:
        asyncio.run(_serve(cards, mails, messages, host, Ports(port, smtp_port, messages_port)))
    except OSError as failure:
        raise click.ClickException(f"cannot listen on {host}: {failure.strerror}") from failure


async def _serve(cards: CardSimulator, mails: MailSink, messages: MessageGateway, host: str, ports: Ports) -> None:
    asked = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, asked.set)
    async with AsyncExitStack() as stack:
        smtp = await stack.enter_async_context(mails.serving(host=host, port=ports.mails))
        provider = await stack.enter_async_context(cards.serving(host=host, port=ports.cards))
        # The last one, since it is who says that all are ready.
        gateway = await stack.enter_async_context(messages.serving(host=host, port=ports.messages))
        click.echo(f"The card provider simulator listens on {provider}")
        click.echo(f"The mail server simulator listens on {smtp}")
        click.echo(f"The message gateway simulator listens on {gateway}")
        await asked.wait()
