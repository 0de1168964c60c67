"""`python -m nilecare.stack up` and `down`: what `make up` and `make down` call."""

from __future__ import annotations

import contextlib
import os
import time

import click
import httpx

from broker.servers import processes
from broker.servers.containers import remove_containers
from broker.servers.errors import StackError, Unavailable
from broker.servers.home import LOCAL
from broker.servers.start import SOURCE
from nilecare.platform import services
from nilecare.stack.bare import NAME, Bare
from nilecare.stack.compose import Compose
from nilecare.stack.development import Development

_PATIENCE = 120.0


@click.group()
def group() -> None:
    """Runs the platform of this checkout in the background."""


@group.command()
def up() -> None:
    """Starts servers and services, and says where they are."""
    development = Development(services())
    try:
        _way(development).up()
        _wait_until_ready(development)
    except StackError as failure:
        raise click.ClickException(str(failure)) from None
    for service in development.services:
        click.echo(f"{service.name:<12} {development.url(service.name)}/api/v1")
    click.echo(f"\nTo use the nilecare command on it: set -a; . {development.file.relative_to(LOCAL.parent)}; set +a")


@group.command()
def down() -> None:
    """Ends every process and container of this checkout. What `up` stored stays."""
    containers = 0
    try:
        ended = processes.end_all(LOCAL / NAME / "services", orderly=True)
        for folder in [*(folder for folder in sorted(LOCAL.glob("*")) if folder.is_dir()), LOCAL]:
            ended += processes.end_all(folder, orderly=folder.name == NAME)
        with contextlib.suppress(Unavailable):
            Compose.require()
            containers = Compose(Development(services())).down() + remove_containers(LOCAL)
    except StackError as failure:
        raise click.ClickException(str(failure)) from None
    click.echo(f"{ended} processes ended, {containers} containers removed.")


def _way(development: Development) -> Bare | Compose:
    if development.given_servers() is None and os.environ.get(SOURCE) != "binaries":
        try:
            Compose.require()
        except Unavailable:
            if os.environ.get(SOURCE) == "containers":
                raise
        else:
            return Compose(development)
    return Bare(development)


def _wait_until_ready(development: Development) -> None:
    waiting = {service.name: development.url(service.name) for service in development.services}
    deadline = time.monotonic() + _PATIENCE
    while waiting:
        waiting = {name: url for name, url in waiting.items() if not _is_ready(url)}
        if waiting and time.monotonic() > deadline:
            raise StackError(f"{', '.join(waiting)} did not become ready within {_PATIENCE:.0f} seconds")
        time.sleep(0.1)


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health/ready", timeout=2).is_success
    except httpx.HTTPError:
        return False


if __name__ == "__main__":
    group()
