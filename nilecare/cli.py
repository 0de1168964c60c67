"""The command `nilecare`: each subcommand lives in a module of its own, imported when it is asked for."""

from __future__ import annotations

import importlib
import sys
from typing import NoReturn

import click

from nilecare.loading import loading

COMMANDS = {
    "administrator": ("nilecare.administrator:command", "Appoint the first platform administrator."),
    "contracts": ("nilecare.contracts:group", "Check, release and describe the events between services."),
    "dead-letters": ("nilecare.dead_letters:group", "See, try, replay, correct, discard what could not be handled."),
    "demo": ("nilecare.demo:command", "Watch a day in a hospital, while a broker and two services are killed."),
    "event-map": ("nilecare.event_map:command", "Generate docs/event-map.md, or check that it is fresh."),
    "flows": ("nilecare.flows:group", "Record a flow of events, for a test to replay."),
    "load": ("nilecare.load:command", "Take patients, results, claims and payments from Synthea's CSV files."),
    "migration": ("nilecare.migration:command", "Write a service's next migration from its tables."),
    "provision": ("nilecare.provision:command", "Set up accounts, databases, tables and topology."),
    "replicas": ("nilecare.replicas:group", "Fill, check and repair copies of what other services own."),
    "run": ("nilecare.run:command", "Run services."),
    "service-pages": ("nilecare.service_pages:command", "Generate docs/services, or check that it is fresh."),
    "simulator": ("nilecare.simulator:command", "Run the world outside, simulated, for development."),
    "status": ("nilecare.status:command", "See how every service and its messages are."),
    "token": ("nilecare.token:command", "Print a token for development."),
    "topology": ("nilecare.topology:group", "Show, apply and compare what RabbitMQ should hold."),
}
"""Where each subcommand is, and what help says of it: knowing that must not cost its imports."""


class LazyGroup(click.Group):
    """A group that imports a subcommand when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        with loading():
            command: click.Command = getattr(importlib.import_module(module), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name][1]) for name in sorted(COMMANDS)])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="nilecare")
def group() -> None:
    """An event-driven platform of healthcare services."""


def main() -> NoReturn:
    """Runs the command. A failure that was foreseen is one line on standard error, and status 2."""
    try:
        status = group.main(prog_name="nilecare", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as asked:
        click.echo(asked.format_message(), err=True)
        status = 2
    except click.ClickException as failure:
        click.echo(f"nilecare: {' '.join(failure.format_message().split())}", err=True)
        status = 2
    except (click.Abort, KeyboardInterrupt):
        status = 130
    except BrokenPipeError:
        status = 141
    sys.exit(status if isinstance(status, int) else 0)


if __name__ == "__main__":
    main()
