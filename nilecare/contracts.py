"""`nilecare contracts`: are the contracts fit to be released, and what they look like from outside."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import click

from broker import Service
from contracts.event import Event
from nilecare.asyncapi import document
from nilecare.platform import events, services
from nilecare.schemas import Snapshot, breaking_changes, release, released


def problems(platform: Sequence[Service], snapshots: Mapping[tuple[str, int], Snapshot]) -> Iterator[str]:
    """One understandable line for everything that stands against releasing the contracts as they are."""
    current = {(event.contract.name, event.contract.version): event for event in events(platform)}
    latest: dict[str, int] = {}
    for name, version in current:
        latest[name] = max(version, latest.get(name, 0))
    for (name, version), event in current.items():
        yield from _problems_of(event, snapshots)
        if version == latest[name]:
            yield from _unreadable(event, snapshots, _readers(platform, name))
    for (name, version), snapshot in snapshots.items():
        if name not in latest:
            yield f"{snapshot.title} was released and is gone: keep it while it can arrive, then delete {snapshot.file}"
        elif version > latest[name]:
            yield f"{snapshot.title} was released, but the code is back at v{latest[name]}: publish the later one"
    yield from _left_behind(platform, latest)


def _problems_of(event: type[Event], snapshots: Mapping[tuple[str, int], Snapshot]) -> Iterator[str]:
    now = Snapshot.of(event)
    before = snapshots.get((now.name, now.version))
    if before is None:
        yield f"{now.title} is not released: run `nilecare contracts release`"
        return
    lines = breaking_changes(before, now)
    for line in lines:
        yield f"{now.title}: {line}; undo it, or make it v{now.version + 1} with an upcaster since v{now.version}"
    if not lines and before.text() != now.text():
        yield f"{now.title} has grown in a way that breaks nobody: run `nilecare contracts release`"


def _unreadable(event: type[Event], snapshots: Mapping[tuple[str, int], Snapshot], readers: Sequence[str]) -> Iterator[str]:
    """Older versions that readers of the newest one cannot be given."""
    contract = event.contract
    for version in range(1, contract.version):
        if version not in contract.upcasters and (contract.name, version) in snapshots:
            yield (
                f"{contract.name} v{version} may still be on its way and v{contract.version} has no upcaster since it: "
                f"write one; until then these cannot read it: {', '.join(readers) or 'nobody'}"
            )


def _left_behind(platform: Sequence[Service], latest: Mapping[str, int]) -> Iterator[str]:
    """Subscribers that only know a version older than the one published."""
    for service in platform:
        for subscription in service.subscriptions:
            for event in subscription.events:
                contract = event.contract
                if contract.version < latest.get(contract.name, 0):
                    yield (
                        f"{service.queue(subscription)} cannot read {contract.name} v{latest[contract.name]} yet: it knows "
                        f"v{contract.version}; subscribe it to the newer class, or its messages will wait"
                    )


def _readers(platform: Sequence[Service], name: str) -> list[str]:
    return [
        service.queue(subscription)
        for service in platform
        for subscription in service.subscriptions
        if any(event.contract.name == name for event in subscription.events)
    ]


@click.group()
def group() -> None:
    """What the services say to each other."""


@group.command()
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list of the lines.")
def check(as_json: bool) -> None:
    """Fail with one line for each breaking change of a released contract."""
    lines = list(problems(services(), released()))
    click.echo(json.dumps(lines, indent=2) if as_json else "\n".join(lines) or "every contract can be released")
    raise SystemExit(1 if lines else 0)


@group.command("release")
def release_command() -> None:
    """Write the schemas of the contracts beside them."""
    platform, snapshots = services(), released()
    breaking = [
        f"{now.title}: {line}"
        for event in events(platform)
        if (before := snapshots.get(((now := Snapshot.of(event)).name, now.version)))
        for line in breaking_changes(before, now)
    ]
    if breaking:
        raise click.ClickException(f"{breaking[0]}; a released version cannot break: run `nilecare contracts check`")
    for name in release(events(platform)):
        click.echo(f"released {name}")


@group.command()
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="A file, instead of the terminal.")
def asyncapi(output: Path | None) -> None:
    """Print the AsyncAPI 3 document of the whole platform."""
    text = json.dumps(document(services()), indent=2) + "\n"
    if output is None:
        click.echo(text, nl=False)
    else:
        output.write_text(text)
