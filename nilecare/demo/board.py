"""What the demo knows of itself while it runs: its phases, what was killed, and a pulse of every service."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

WIDTH = 60
"""How many pulses of the rate are remembered."""


@dataclass(slots=True)
class Phase:
    """A part of the demo. `total` is 0 where nothing is counted; `seconds` is set when it is over."""

    name: str
    began: float
    done: int = 0
    total: int = 0
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Pulse:
    """One service at one moment, in events."""

    outbox: int = 0
    queued: int = 0
    """Relayed, and without an effect yet."""
    failed: int = 0
    """Kept because they could not be handled (yet)."""
    effects: int = 0


@dataclass(slots=True)
class Board:
    """Written by the demo, read by the display. `told` is called with each line that belongs into a log.

    watched: whether somebody sees the pulses.
    """

    told: Callable[[str], None] = lambda line: None
    watched: bool = False
    began: float = field(default_factory=time.monotonic)
    phases: dict[str, Phase] = field(default_factory=dict)
    notes: list[tuple[float, str]] = field(default_factory=list)
    down: set[str] = field(default_factory=set)
    pulses: dict[str, Pulse] = field(default_factory=dict)
    events: int = 0
    rates: deque[float] = field(default_factory=lambda: deque(maxlen=WIDTH))

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return time.monotonic() - self.began

    @property
    def effects(self) -> int:
        """Of all services."""
        return sum(pulse.effects for pulse in self.pulses.values())

    @contextmanager
    def phase(self, name: str) -> Iterator[Phase]:
        """A part of the demo that lasts as long as the block."""
        phase = self.phases[name] = Phase(name, self.seconds)
        yield phase
        self.end(phase)

    def end(self, phase: Phase) -> None:
        """A phase is over."""
        phase.seconds = self.seconds - phase.began
        counted = f" {phase.done}" if phase.total else ""
        self.told(f"{phase.name}:{counted} done in {phase.seconds:.1f} s")

    def step(self, name: str, done: int, total: int) -> None:
        """How far a step of the loader is. It is over when the next one begins: what it caused must have happened too."""
        if name not in self.phases:
            self.end_steps()
            self.phases[name] = Phase(name, self.seconds)
        phase = self.phases[name]
        phase.done, phase.total = done, total

    def end_steps(self) -> None:
        """The step of the loader that is under way, if any, is over."""
        for phase in self.phases.values():
            if phase.seconds is None and phase.total:
                self.end(phase)

    def note(self, text: str) -> None:
        """Something happened that is worth a line."""
        self.notes.append((self.seconds, text))
        self.told(text)

    def beat(self, pulses: dict[str, Pulse], events: int, seconds: float) -> None:
        """A new pulse, `seconds` after the last."""
        self.rates.append(max(0, events - self.events) / seconds if seconds else 0.0)
        self.pulses, self.events = pulses, events
