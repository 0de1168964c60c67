"""`nilecare flows`: what followed from a command, for tests."""

from __future__ import annotations

import click

from nilecare.flows.record import record


@click.group()
def group() -> None:
    """Flows of events."""


group.add_command(record)
