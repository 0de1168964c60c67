"""`nilecare topology`: what RabbitMQ should hold, what it lacks, and what is left over."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import asdict
from typing import Any, TypeVar

import click
from rich.console import Console
from rich.table import Table

from broker import DeclarationError
from broker import _alignment as alignment
from broker._alignment import Item
from broker._management import Management, ManagementError
from broker._platform import PREFIX, vhost_of
from broker._topology import Topology
from nilecare.addresses import AddressError, known, required
from nilecare.platform import services

Result = TypeVar("Result")

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group("topology")
def group() -> None:
    """Exchanges, queues, bindings, policies and permissions, all derived from the services' declarations."""


@group.command()
@as_json
def show(as_json: bool) -> None:
    """Show what the declarations ask for. Asks no server."""
    topology = declared()
    if as_json:
        _print_json(asdict(topology))
        return
    queues = Table("queue", "receives", "from", title="Queues: quorum, single active consumer", title_justify="left")
    for queue in topology.queues:
        bindings = [binding for binding in topology.bindings if binding.queue == queue.name]
        routed = [binding for binding in bindings if not binding.routing_key.startswith("to.")]
        received, sources = [binding.routing_key for binding in routed], [binding.exchange for binding in routed]
        queues.add_row(queue.name, "\n".join(received) or "what the broker gives up", "\n".join(sources))
    policies = Table("policy", "holds for", "definition", title="Policies", title_justify="left")
    for policy in topology.policies:
        policies.add_row(policy.name, policy.pattern, "\n".join(f"{key}: {value}" for key, value in policy.definition.items()))
    permissions = Table("account", "writes", "reads", "configures", title="Permissions", title_justify="left")
    for each in topology.permissions:
        permissions.add_row(each.account, each.write, each.read, each.configure)
    console = Console()
    for table in (queues, policies, permissions):
        console.print(table)


@group.command()
@as_json
def apply(as_json: bool) -> None:
    """Add what is missing. Only a renamed subscription's old queue is unbound, after the new one is bound."""
    topology = declared()
    done = _with_management(lambda management: alignment.apply(management, topology))
    if as_json:
        _print_json({"applied": _plain(done)})
    else:
        _print_items("applied", done, nothing="nothing to apply")


@group.command()
@as_json
def diff(as_json: bool) -> None:
    """Say what RabbitMQ lacks, has otherwise, or has beyond the declarations. Ends with status 1 when there is anything."""
    topology = declared()
    found = _with_management(lambda management: alignment.diff(management, topology))
    if as_json:
        parts = {"missing": found.missing, "different": found.different, "surplus": found.surplus}
        _print_json({name: _plain(items) for name, items in parts.items()})
    elif not found:
        click.echo("no difference")
    else:
        _print_items("missing", found.missing)
        _print_items("different", found.different)
        _print_items("surplus", found.surplus)
    if found:
        raise click.exceptions.Exit(1)


@group.command()
@click.option("--dry-run", is_flag=True, help="Say what would be removed and change nothing.")
@as_json
def prune(dry_run: bool, as_json: bool) -> None:
    """Unbind what nobody declares, and remove the queues of it that are empty and unused. Says what is kept, and why."""
    topology = declared()
    amqp_url = _required("NILECARE_AMQP_URL")
    pruned = _with_management(lambda management: alignment.prune(management, topology, amqp_url, dry_run=dry_run))
    if as_json:
        _print_json({"dry_run": dry_run, "removed": _plain(pruned.removed), "kept": _plain(pruned.kept)})
    else:
        _print_items("would be removed" if dry_run else "removed", pruned.removed, nothing="nothing to remove")
        _print_items("kept", pruned.kept)


@group.command()
@click.option("--vhost", help="The virtual host; that of NILECARE_AMQP_URL when not given.")
@click.option("--json", "as_json", is_flag=True, help="It is JSON anyway.")
def export(vhost: str | None, as_json: bool) -> None:
    """Print a definitions file for RabbitMQ, without accounts and permissions. Asks no server."""
    _print_json(declared().definitions(vhost or vhost_of(known().get("NILECARE_AMQP_URL", ""))))


def declared() -> Topology:
    """The topology of all services. Raises ClickException with the sentence that says which declaration is wrong."""
    try:
        return Topology.of(services(), prefix=known().get("NILECARE_PREFIX", PREFIX))
    except DeclarationError as wrong:
        raise click.ClickException(str(wrong)) from wrong


def _with_management(work: Callable[[Management], Awaitable[Result]]) -> Result:
    url, amqp_url = _required("NILECARE_MANAGEMENT_URL"), _required("NILECARE_AMQP_URL")

    async def run() -> Result:
        async with Management(url, vhost_of(amqp_url)) as management:
            return await work(management)

    try:
        return asyncio.run(run())
    except ManagementError as failure:
        raise click.ClickException(str(failure)) from failure


def _required(name: str) -> str:
    try:
        return required(known(), name)[0]
    except AddressError as absent:
        raise click.ClickException(str(absent)) from absent


def _plain(items: Iterable[Item]) -> list[dict[str, str]]:
    return [asdict(item) for item in items]


def _print_items(title: str, items: Iterable[Item], *, nothing: str = "") -> None:
    items = list(items)
    if not items and nothing:
        click.echo(nothing)
    for item in items:
        click.echo(f"{title}: {item}")


def _print_json(value: Any) -> None:
    click.echo(json.dumps(value, indent=2))
