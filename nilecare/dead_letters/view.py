"""How failed messages are shown: to a tired person at night, and as JSON. Personal data only where it was asked for."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import click

from broker import age
from broker._actions import Action, Pace, Part, Verb
from broker._dead_letters import FailedMessage, Group
from broker._inspection import Inspected
from broker._trial import Trial
from nilecare.called import called

COLOURS = {"dead": "red", "held": "yellow", "waiting": "cyan", "retrying": "blue"}
ENDED = frozenset({"took effect", "had taken effect", "gone"})
"""What may become of a replayed message when all is well."""

WIDTH = 100
"""Characters of a sentence in a list."""


@dataclass(frozen=True, slots=True)
class Located:
    """A failed message and the service that keeps it. `handle` is what `--id` takes: short enough to be typed."""

    service: str
    message: FailedMessage

    @property
    def handle(self) -> str:
        """`billing/17`."""
        return f"{self.service}/{self.message.position}"

    @property
    def queue(self) -> str:
        """The queue of its subscription."""
        return f"{self.service}.{self.message.subscription}"

    def as_json(self) -> dict[str, Any]:
        """All that is known of it but body and properties."""
        shown = asdict(self.message)
        del shown["body"], shown["properties"]
        return {"handle": self.handle, "service": self.service, **shown, "next": self.message.next_step}


def as_json(value: object) -> None:
    """Prints JSON; ids and times as text."""
    click.echo(json.dumps(value, indent=2, default=str))


def overview(found: Sequence[Located], counts: Mapping[str, int], *, after: int) -> None:
    """Two lines per message, then what they come to and where to look next."""
    if not found:
        click.echo("no failed messages are like that" if not after else "no more failed messages are like that")
        return
    for each in found:
        message = each.message
        behind = f", {message.behind} behind it" if message.behind else ""
        click.echo(
            f"{click.style(each.handle, bold=True)}  {_state(message.state)}  {each.queue}  {message.type}  "
            f"key {message.key or '-'}  since {age(message.first_failed_at)}{behind}"
        )
        click.echo(f"    {message.error}: {message.reason}")
    shown = Counter(each.service for each in found)
    click.echo(_summary(found))
    for service, count in counts.items():
        if count > shown[service] and not after:
            last = max(each.message.position for each in found if each.service == service)
            click.echo(f"{service} has {count}: the next page is --after {service}/{last}; `groups` shows them by reason")
    urgent = min(found, key=lambda each: (each.message.state != "dead", -each.message.behind))
    click.echo(f"look closer: {called()} dead-letters show --id {urgent.handle}")


def groups(found: Sequence[tuple[str, Group]]) -> None:
    """What failed for one reason, the largest first, with what to type next."""
    if not found:
        click.echo("no failed messages are like that")
        return
    for service, group in found:
        click.echo(
            f"{click.style(f'{group.count:>7,}', bold=True)}  {_state(group.state)}  {service}.{group.subscription}  "
            f"{group.type}  first {age(group.oldest)} ago, last {age(group.newest)} ago"
        )
        click.echo(f"         {group.fingerprint}")
        click.echo(f"         {_short(group.reason)}")
    service, group = found[0]
    total = sum(group.count for _, group in found)
    click.echo(f"{plural(total, 'message')} for {plural(len(found), 'reason')}")
    click.echo(f"look closer: {called()} dead-letters show --limit 1 {_options(service, group)}")
    if group.state == "dead":
        click.echo(f"when it is repaired: {called()} dead-letters replay --why … {_options(service, group)}")


def group_as_json(service: str, group: Group) -> dict[str, Any]:
    """A group as JSON data."""
    return {"service": service, **asdict(group)}


def details(service: str, seen: Inspected) -> None:
    """What, why, since when, how many behind it, what was done about it, and what to do."""
    each, message = Located(service, seen.message), seen.message
    click.echo(f"{click.style(each.handle, bold=True)}  {_state(message.state)}  {each.queue}")
    lines = {
        "what": f"{message.type} v{message.version}, key {message.key or '-'}, message {message.id or 'without a usable id'}",
        "why": f"{message.error}: {message.reason}",
        "group": message.fingerprint,
        "since": f"{age(message.first_failed_at)} ({_moment(message.first_failed_at)})",
        "tried": f"{plural(message.attempts, 'time')}, last {age(message.last_failed_at)} ago",
        "behind it": f"{plural(message.behind, 'message')} of the same key",
        "flow": str(message.flow or "-"),
        "caused by": str(message.cause or "-"),
        "came by": f"exchange {message.exchange or '(default)'}, routing key {message.routing_key or '-'}",
        "headers": ", ".join(f"{name} {value}" for name, value in seen.headers.items()) or "-",
        "stack": message.stack or "-",
        "body": seen.body,
    }
    for number, before in enumerate(seen.before, 1):
        lines[f"before {number}"] = before
    for number, (action, part) in enumerate(seen.past, 1):
        done = f"{action.verb} by {action.asked_by}, {_moment(action.began_at)}"
        lines[f"done {number}"] = f"{done}: {part.outcome or 'under way'} ({action.why})"
    lines["next"] = message.next_step
    for name, words in lines.items():
        first, *more = words.splitlines() or [""]
        click.echo(f"  {name:<11}{first}")
        for line in more:
            click.echo(f"  {'':<11}{line}")
    if message.state != "held":
        for verb in ("try", "replay --why …", "edit --why …", "discard --why …"):
            click.echo(f"  {'':<11}{called()} dead-letters {verb} --id {each.handle}")
    click.echo()


def whole_as_json(service: str, seen: Inspected) -> dict[str, Any]:
    """All that `details` shows, as JSON data."""
    return {
        **Located(service, seen.message).as_json(),
        "headers": seen.headers,
        "body": seen.body,
        "before": seen.before,
        "past": [
            {"action": action.id, "verb": action.verb, "by": action.asked_by, "why": action.why, "outcome": part.outcome}
            for action, part in seen.past
        ],
    }


def trial_line(each: Located, trial: Trial) -> str:
    """What would happen, in one line."""
    match trial.result:
        case "takes effect":
            words = "would take effect"
            if trial.rows:
                words += ", writes " + ", ".join(_rows(name, asdict(rows)) for name, rows in sorted(trial.rows.items()))
            if trial.published:
                words += ", publishes " + ", ".join(f"{count} × {name}" for name, count in sorted(trial.published.items()))
            if trial.stopped_before:
                words += f", then calls {trial.stopped_before}: nobody was called"
        case "took effect":
            words = "had taken effect before: a replay only closes it"
        case "superseded":
            words = "is older than what is there: a replay only closes it"
        case "behind":
            words = "lies behind an earlier message of its key: that one has to go first"
        case "foreign":
            words = f"{each.service} has no subscription {each.message.subscription}: redirect it, or discard it"
        case "gone":
            words = "is gone: it went through meanwhile"
        case _:
            verdict = trial.verdict
            words = "is not valid" if trial.result == "not valid" else trial.result
            words += f": {verdict.error}: {verdict.reason}" if verdict else ""
    return f"{each.handle}  {words}"


def trial_as_json(each: Located, trial: Trial) -> dict[str, Any]:
    """A trial as JSON data."""
    verdict = trial.verdict
    return {
        "handle": each.handle,
        "id": each.message.id,
        "result": trial.result,
        "is_well": trial.is_well,
        "published": dict(trial.published),
        "rows": {name: asdict(rows) for name, rows in trial.rows.items()},
        "stopped_before": trial.stopped_before,
        "error": verdict.error if verdict else None,
        "reason": verdict.reason if verdict else None,
        "fingerprint": verdict.evidence.fingerprint if verdict else None,
    }


def plan(verb: Verb, found: Sequence[tuple[str, Sequence[Group], int]], pace: Pace, *, err: bool) -> None:
    """What is about to be done, before it is."""
    for service, each, count in found:
        for group in each:
            click.echo(
                f"{group.count:>7,}  {_state(group.state)}  {service}.{group.subscription}  {group.fingerprint}", err=err
            )
        if not each:
            click.echo(f"{count:>7,}  {service}", err=err)
    if verb == "replay":
        rate = f"at {pace.rate:g} a second" if pace.rate else "as fast as it goes"
        click.echo(
            f"of each reason {pace.canary} first, then {pace.few}, then the rest {rate}; "
            "a reason that is not cured is left alone",
            err=err,
        )


def is_well(action: Action) -> bool:
    """Whether a replay came to its end and nothing of it is left."""
    return action.state == "done" and not set(action.outcomes) - ENDED


def ended_line(service: str, action: Action) -> str:
    """What came of an action, in one line, and where to look."""
    words = ", ".join(f"{count:,} {outcome or 'left'}" for outcome, count in sorted(action.outcomes.items(), key=str))
    again = f"; go on: {called()} dead-letters resume {action.id}" if action.state == "stopped" else ""
    return f"{service}  {action.verb} {action.state}: {words}{again}\n  {called()} dead-letters history --action {action.id}"


def why_not_resumed(service: str, action: Action) -> str:
    """Why an action that has ended cannot go on, and what to do instead, in one line."""
    history = f"{called()} dead-letters history --service {service} --action {action.id}"
    if action.state == "halted":
        left = plural(action.outcomes.get("not tried", 0), "message")
        return (
            f"this {action.verb} halted, with {left} not tried since others failed again for the same reason. "
            f"See which: {history}. Repair the cause, then begin anew: {called()} dead-letters replay --service {service} …"
        )
    return f"this {action.verb} is {action.state}: nothing of it is left to do. See what became of each message: {history}"


def actions(found: Sequence[tuple[str, Action, Sequence[Part]]]) -> None:
    """Who did what, when, why, and what came of it."""
    if not found:
        click.echo("nobody did anything")
    for service, action, parts in found:
        click.echo(
            f"{_moment(action.began_at)}  {click.style(service, bold=True)}  {action.verb} {action.state}  "
            f"by {action.asked_by}: {action.why}"
        )
        wanted = ", ".join(f"{name} {_listed(value)}" for name, value in action.wanted.items())
        outcomes = ", ".join(f"{count:,} {outcome or 'left'}" for outcome, count in sorted(action.outcomes.items(), key=str))
        click.echo(
            f"    {plural(action.total, 'message')} ({wanted or 'all'}){': ' + outcomes if outcomes else ''}; {action.id}"
        )
        for part in parts:
            detail = f": {part.detail}" if part.detail else ""
            click.echo(f"    {service}/{part.position}  {part.type}  key {part.key or '-'}  {part.outcome or 'left'}{detail}")


def action_as_json(service: str, action: Action, parts: Sequence[Part]) -> dict[str, Any]:
    """An action as JSON data."""
    outcomes = {outcome or "left": count for outcome, count in action.outcomes.items()}
    listed = [{"handle": f"{service}/{part.position}", **asdict(part)} for part in parts]
    return {"service": service, **asdict(action), "outcomes": outcomes, "messages": listed}


def plural(count: int, noun: str) -> str:
    """`1 message`, `1,000 messages`, `no messages`."""
    return f"{count} {noun}" if count == 1 else f"{f'{count:,}' if count else 'no'} {noun}s"


def _summary(found: Sequence[Located]) -> str:
    counted = Counter(each.message.state for each in found)
    words = ", ".join(f"{count} {state}" for state, count in sorted(counted.items()))
    blocked = sum(each.message.behind for each in found if each.message.state == "dead")
    return words + (f"; the dead ones block {plural(blocked, 'message')} behind them" if blocked else "")


def _rows(table: str, counts: Mapping[str, int]) -> str:
    return f"{table} ({', '.join(f'{count} {verb}' for verb, count in counts.items() if count)})"


def _options(service: str, group: Group) -> str:
    return f"--service {service} --subscription {group.subscription} --state {group.state} --fingerprint '{group.fingerprint}'"


def _listed(value: Any) -> str:
    shown = value if isinstance(value, list) else [value]
    return ", ".join(map(str, shown[:5])) + (f" and {len(shown) - 5} more" if len(shown) > 5 else "")


def _short(words: str) -> str:
    return words if len(words) <= WIDTH else words[: WIDTH - 1] + "…"


def _state(state: str) -> str:
    return click.style(f"{state:<8}", fg=COLOURS.get(state))


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
