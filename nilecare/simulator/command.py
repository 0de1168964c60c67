"""`nilecare simulator`: the simulated card provider as a process of its own."""

from __future__ import annotations

import asyncio
import signal

import click

from nilecare.simulator.server import CardSimulator


@click.command("simulator")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=7031, show_default=True, type=click.IntRange(0, 65535), help="0 takes a free one.")
@click.option("--secret", envvar="NILECARE_OUTSIDE_CARD_PROVIDER_SECRET", required=True, help="Shared with payment.")
@click.option("--webhook-url", default="http://127.0.0.1:7030/api/v1/webhooks/card", show_default=True)
def command(host: str, port: int, secret: str, webhook_url: str) -> None:
    """Run the simulated card provider until it is told to stop."""
    try:
        asyncio.run(_serve(CardSimulator(secret=secret, webhook_url=webhook_url), host, port))
    except OSError as failure:
        raise click.ClickException(f"cannot listen on {host}:{port}: {failure.strerror}") from failure


async def _serve(simulator: CardSimulator, host: str, port: int) -> None:
    asked = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, asked.set)
    async with simulator.serving(host=host, port=port) as address:
        click.echo(f"The card provider simulator listens on {address}")
        await asked.wait()
