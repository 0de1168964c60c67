"""How failed messages are shown: to a tired person at night, and as JSON. Never a body, unless it was asked for."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import click

from broker._dead_letters import FailedMessage, age
from broker._replay import Outcome

COLOURS = {"dead": "red", "held": "yellow", "waiting": "cyan", "retrying": "blue"}


@dataclass(frozen=True, slots=True)
class Located:
    """A failed message and the service that keeps it. `handle` is what `--id` takes: short enough to be typed."""

    service: str
    message: FailedMessage

    @property
    def handle(self) -> str:
        return f"{self.service}/{self.message.position}"

    @property
    def queue(self) -> str:
        return f"{self.service}.{self.message.subscription}"

    def as_json(self) -> dict[str, Any]:
        """All that is known of it; body and properties only where they were read."""
        shown = asdict(self.message)
        body, properties = shown.pop("body"), shown.pop("properties")
        if body is not None:
            shown |= {"body": body.decode("utf-8", "replace"), "properties": properties}
        return {"handle": self.handle, "service": self.service, **shown, "next": self.message.next_step}


def as_json(value: object) -> None:
    """Prints JSON; ids and times as text."""
    click.echo(json.dumps(value, indent=2, default=str))


def overview(found: Sequence[Located], *, limit: int) -> None:
    """Two lines per message, then what they come to and where to look next."""
    if not found:
        click.echo("no failed messages")
        return
    for each in found[:limit]:
        message = each.message
        behind = f", {message.behind} behind it" if message.behind else ""
        click.echo(
            f"{click.style(each.handle, bold=True)}  {_state(message.state)}  {each.queue}  {message.type}  "
            f"key {message.key or '-'}  since {age(message.first_failed_at)}{behind}"
        )
        click.echo(f"    {message.error}: {message.reason}")
    if len(found) > limit:
        click.echo(f"… and {len(found) - limit} more: narrow it with the filters, or raise --limit")
    click.echo(_summary(found))
    urgent = min(found, key=lambda each: (each.message.state != "dead", -each.message.behind))
    click.echo(f"look closer: nilecare dead-letters show --id {urgent.handle}")


def details(each: Located) -> None:
    """What, why, since when, how many behind it, and what to do next."""
    message = each.message
    click.echo(f"{click.style(each.handle, bold=True)}  {_state(message.state)}  {each.queue}")
    lines = {
        "what": f"{message.type} v{message.version}, key {message.key or '-'}, message {message.id or 'without a usable id'}",
        "why": f"{message.error}: {message.reason}",
        "since": f"{age(message.first_failed_at)} ({_moment(message.first_failed_at)})",
        "tried": f"{_plural(message.attempts, 'time')}, last looked at {age(message.last_failed_at)} ago",
        "behind it": f"{_plural(message.behind, 'message')} of the same key",
        "flow": str(message.flow or "-"),
        "came by": f"exchange {message.exchange or '(default)'}, routing key {message.routing_key or '-'}",
        "next": message.next_step,
    }
    if message.body is not None:
        lines["properties"] = json.dumps(message.properties)
        lines["body"] = message.body.decode("utf-8", "replace")
    for name, words in lines.items():
        click.echo(f"  {name:<11}{words}")
    if message.state != "held":
        for verb in ("retry --dry-run", "retry", "discard"):
            click.echo(f"  {'':<11}nilecare dead-letters {verb} --id {each.handle}")
    click.echo()


def outcome_line(each: Located, outcome: Outcome, *, dry_run: bool, followed: int) -> str:
    """What came of a retry, in one line."""
    match outcome.result:
        case "done":
            words = "would take effect" if dry_run else "took effect"
            if outcome.published:
                published = Counter(outcome.published)
                words += ", publishes " + ", ".join(f"{count} × {name}" for name, count in sorted(published.items()))
        case "known":
            words = "had taken effect before: closed"
        case "gone":
            words = "is gone: it went through meanwhile"
        case "behind":
            words = "lies behind an earlier message of its key: retry or discard that one first"
        case "foreign":
            words = f"{each.service} has no subscription {each.message.subscription}: declare it (formerly=…), or discard it"
        case _:
            verdict = outcome.verdict
            words = f"failed again ({verdict.state}): {verdict.error}: {verdict.reason}" if verdict else "failed again"
    return f"{each.handle}  {words}" + (f"; and {followed} behind it went on" if followed else "")


def _summary(found: Sequence[Located]) -> str:
    counted = Counter(each.message.state for each in found)
    words = ", ".join(f"{count} {state}" for state, count in sorted(counted.items()))
    blocked = sum(each.message.behind for each in found if each.message.state == "dead")
    return words + (f"; the dead ones block {_plural(blocked, 'message')} behind them" if blocked else "")


def _state(state: str) -> str:
    return click.style(f"{state:<8}", fg=COLOURS.get(state))


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count or 'no'} {noun}s"


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
