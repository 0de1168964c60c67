"""`nilecare dead-letters`: the messages that could not be handled, what became of them, and what to do about them."""

from __future__ import annotations

import click

from nilecare.dead_letters import acting, correcting, looking, moving


@click.group("dead-letters")
def group() -> None:
    """Messages that could not be handled: dead ones need a person, the others go on by themselves."""


for module in (looking, acting, correcting, moving):
    for command in module.COMMANDS:
        group.add_command(command)
