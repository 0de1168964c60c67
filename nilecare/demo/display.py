"""What a person sees while the demo runs: a board that moves on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from nilecare.demo.board import WIDTH, Board, Phase

BARS = " ▁▂▃▄▅▆▇█"
PHASES, NOTES = 5, 4
"""Lines of each, the last ones: all of it has to fit on a small terminal."""


@contextmanager
def showing(console: Console) -> Iterator[Board]:
    """A board that is shown while the block runs."""
    if not console.is_terminal:
        yield _plain(console)
        return
    board = Board(watched=True)
    picture = _Picture(board)
    with Live(get_renderable=picture.draw, console=console, refresh_per_second=8):
        yield board


def _plain(console: Console) -> Board:
    began = time.monotonic()

    def tell(line: str) -> None:
        console.print(f"{time.monotonic() - began:6.1f} s  {line}", highlight=False, markup=False, soft_wrap=True)

    return Board(told=tell, began=began)


class _Picture:
    def __init__(self, board: Board) -> None:
        self._board = board
        self._spinner = Spinner("dots", style="cyan")

    def draw(self) -> RenderableType:
        board = self._board
        parts: list[RenderableType] = [self._phases()]
        if board.pulses:
            parts += [Text(), self._services(), Text(), self._rate()]
        if board.notes:
            parts += [Text(), self._notes()]
        down = "".join(f"  [bold red]{name} is down[/]" for name in sorted(board.down))
        title = f"[bold]NileCare[/]  {board.seconds:5.1f} s{down}"
        return Panel(Group(*parts), title=title, title_align="left", border_style="blue", width=84, padding=(0, 2))

    def _phases(self) -> Table:
        table = Table.grid(padding=(0, 1))
        table.add_column(width=1)
        table.add_column(width=34)
        table.add_column(width=24)
        table.add_column(justify="right", width=9)
        for phase in list(self._board.phases.values())[-PHASES:]:
            over = phase.seconds is not None
            seconds = phase.seconds if phase.seconds is not None else self._board.seconds - phase.began
            mark: RenderableType = Text("✓", style="green") if over else self._spinner
            table.add_row(mark, phase.name, _progress(phase), Text(f"{seconds:.1f} s", style="dim" if over else "cyan"))
        return table

    def _services(self) -> Table:
        board = self._board
        table = Table(box=None, padding=(0, 2), pad_edge=False, header_style="dim")
        table.add_column("service", width=13)
        for name in ("outbox", "on the way", "set aside", "effects"):
            table.add_column(name, justify="right", width=10)
        for name, pulse in sorted(board.pulses.items()):
            down = name in board.down
            table.add_row(
                Text(f"{name} ✗" if down else name, style="bold red" if down else ""),
                _count(pulse.outbox, "yellow"),
                _count(pulse.queued, "yellow"),
                _count(pulse.failed, "magenta"),
                str(pulse.effects),
            )
        return table

    def _rate(self) -> Text:
        board = self._board
        rates = list(board.rates)
        top = max(rates, default=0) or 1
        line = "".join(BARS[round(rate / top * (len(BARS) - 1))] for rate in rates)
        return Text.assemble((f"{rates[-1] if rates else 0:5.0f} events/s  ", "cyan"), (line[-WIDTH + 10 :], "green"))

    def _notes(self) -> Text:
        lines = [f"{seconds:5.1f} s  {note}" for seconds, note in self._board.notes[-NOTES:]]
        return Text("\n".join(lines), style="yellow")


def _progress(phase: Phase) -> RenderableType:
    if not phase.total:
        return Text()
    if phase.seconds is not None:
        return Text(str(phase.total), style="dim")
    bar = Table.grid(padding=(0, 1))
    bar.add_row(ProgressBar(total=phase.total, completed=phase.done, width=14), f"{phase.done}/{phase.total}")
    return bar


def _count(number: int, style: str) -> Text:
    return Text(str(number), style=style if number else "dim")
