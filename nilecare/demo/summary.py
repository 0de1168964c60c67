"""The outcome, for a person."""

from __future__ import annotations

from itertools import groupby

from rich.console import Console
from rich.table import Table
from rich.text import Text

from nilecare.demo.latency import Latency
from nilecare.demo.outcome import Outcome
from nilecare.demo.troubles import MEANING

WIDTH = 100
BAR = 24
MOST_EVENTS = 16
"""Types of events that are shown by themselves."""


def summarise(console: Console, outcome: Outcome, *, servers_run: bool) -> None:
    """Prints it, the command for the dead letter near the end."""
    console.print()
    _verdict(console, outcome)
    _events(console, outcome)
    _timing(console, outcome)
    _facts(console, outcome)
    _dead_letter(console, outcome, servers_run=servers_run)


def _verdict(console: Console, outcome: Outcome) -> None:
    console.rule("[bold]NileCare: a day in a hospital[/]", align="left")
    console.print(
        f"{sum(outcome.seen.values())} patients, {sum(outcome.asked.values())} requests to {len(outcome.asked)} services, "
        f"{sum(outcome.mails.values())} mails: {sum(outcome.events.values())} events in {outcome.flows} flows, with "
        f"{outcome.effects} effects in {outcome.seconds:.0f} seconds.",
        highlight=False,
    )
    if outcome.faults:
        for fault in outcome.faults:
            console.print(f"[bold red]✗ {fault}[/]", highlight=False)
        return
    console.print(
        "[bold green]✓ The broker and two services were killed in the middle of it: nothing was lost, doubled or\n"
        "  reordered, every replica is in step, the money is right to the cent, and no log, metric, error\n"
        "  or short message tells a name, a number or an address.[/]",
        highlight=False,
    )


def _events(console: Console, outcome: Outcome) -> None:
    table = _table("event", ">how many", "")
    most = max(outcome.events.values(), default=1)
    ordered = sorted(outcome.events.items(), key=lambda item: (-item[1], item[0]))
    for name, count in ordered[:MOST_EVENTS]:
        table.add_row(name, str(count), Text("█" * max(1, round(count / most * BAR)), style="blue"))
    if rest := ordered[MOST_EVENTS:]:
        table.add_row(f"and {len(rest)} other types", str(sum(count for _, count in rest)), "")
    console.print()
    console.print(table)


def _timing(console: Console, outcome: Outcome) -> None:
    table = _table("from commit to effect", ">p50", ">p99", ">effects")
    rows: dict[str, Latency] = {
        "while nothing was down": outcome.latency_undisturbed,
        "all, with the outages in it": outcome.latency,
    }
    for name, latency in rows.items():
        table.add_row(name, _milliseconds(latency.p50), _milliseconds(latency.p99), str(latency.effects))
    console.print()
    console.print(table)


def _facts(console: Console, outcome: Outcome) -> None:
    table = _table("what was asked", "", "answer")
    table.add_row(*_answer("lost", not outcome.lost, f"{outcome.lost} events"))
    table.add_row(*_answer("doubled", not outcome.duplicated, f"{outcome.duplicated} effects"))
    table.add_row(*_answer("out of order", not outcome.out_of_order, f"{outcome.out_of_order} effects"))
    table.add_row(*_answer("disclosed", not outcome.disclosed, f"{sum(outcome.disclosed.values())} names, numbers, addresses"))
    for service, replicas in groupby(outcome.replicas.items(), key=lambda item: item[0].partition(".")[0]):
        kept = {name.partition(".")[2]: replica for name, replica in replicas}
        rows = sum(replica.rows for replica in kept.values())
        wrong = ", ".join(
            f"{kind}: {replica.missing} missing, {replica.surplus} too many, {replica.different} different"
            for kind, replica in kept.items()
            if not replica.in_step
        )
        words = wrong or f"{rows} rows in {len(kept)}, each as its owner has it"
        table.add_row(*_answer(f"replicas of {service}", not wrong, words))
    for check in outcome.money:
        wrong = "" if check.holds else f", {check.wrong} wrong"
        table.add_row(*_answer(check.what, check.holds, f"{check.looked_at}, {check.amount:,.2f} in all{wrong}"))
    console.print()
    console.print(table)
    _story(console, outcome)


def _story(console: Console, outcome: Outcome) -> None:
    lines = [f"{count} {what}" for what, count in outcome.seen.items()]
    lines.append(
        f"{sum(outcome.cards.values())} card payments were tried; {outcome.declined} were declined, and made with another card"
    )
    lines += outcome.incidents
    lines += [f"{count} × {MEANING[name]}" for name, count in sorted(outcome.troubles.items()) if name != "message.dead"]
    console.print("\n[bold]on the way[/]")
    for line in lines:
        console.print(f"  · {line}", highlight=False, markup=False)


def _dead_letter(console: Console, outcome: Outcome, *, servers_run: bool) -> None:
    states = ", ".join(f"{count} {state}" for state, count in sorted(outcome.failed.items())) or "none"
    console.print(f"\n[bold]messages that could not be handled[/]: {states}", highlight=False)
    console.print("  One was broken on purpose: it says nothing of what its contract asks for. Billing set it aside.")
    if servers_run:
        console.print(
            f"  Look at it:  [bold cyan]{outcome.key} dead-letters show --id {outcome.dead_letter}[/]", highlight=False
        )
        console.print("\nRabbitMQ and PostgreSQL keep running, so that you can look around. `make down` ends them.")


def _table(*columns: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column.removeprefix(">"), justify="right" if column.startswith(">") else "left")
    return table


def _answer(what: str, is_well: bool, words: str) -> tuple[str, Text, str]:
    return what, Text("✓", style="green") if is_well else Text("✗", style="bold red"), words


def _milliseconds(milliseconds: float) -> str:
    return f"{milliseconds / 1000:.2f} s" if milliseconds >= 1000 else f"{milliseconds:.0f} ms"
