"""A flow as a sequence diagram: SVG that the page holds, drawn here."""

from __future__ import annotations

from dataclasses import dataclass

from services.operations.tracing import Flow

MARGIN, HEAD, STEP, APART = 80, 40, 34, 190
MOST = 60
"""Arrows that are drawn: more than that is for the table."""


@dataclass(frozen=True, slots=True)
class Line:
    """A service: its name, and where its line is."""

    name: str
    x: int


@dataclass(frozen=True, slots=True)
class Arrow:
    """An event on its way from one line to another; to its own where a service hears itself."""

    x1: int
    x2: int
    y: int
    label: str
    state: str

    @property
    def middle(self) -> int:
        """Where its label stands."""
        return (self.x1 + self.x2) // 2

    @property
    def head(self) -> str:
        """The three corners of its point."""
        back = -8 if self.x2 >= self.x1 else 8
        return f"{self.x2},{self.y} {self.x2 + back},{self.y - 4} {self.x2 + back},{self.y + 4}"


@dataclass(frozen=True, slots=True)
class Diagram:
    """All of it. `left`: how many arrows are not drawn."""

    lines: list[Line]
    arrows: list[Arrow]
    width: int
    height: int
    left: int


def drawn(flow: Flow) -> Diagram:
    """One arrow for each service that hears an event, from top to bottom in the order of the events."""
    places = {name: MARGIN + place * APART for place, name in enumerate(flow.services)}
    hops = [
        (said, name, "handled" if all(heard.state == "handled" for heard in said.heard if heard.service == name) else "open")
        for said in flow.said
        for name in dict.fromkeys(heard.service for heard in said.heard)
        if name != said.service
    ]
    arrows = [
        Arrow(places[said.service], places[name], HEAD + STEP * number, said.type, state)
        for number, (said, name, state) in enumerate(hops[:MOST], 1)
    ]
    height = HEAD + STEP * (len(arrows) + 1)
    width = 2 * MARGIN + APART * max(len(places) - 1, 0)
    return Diagram([Line(name, x) for name, x in places.items()], arrows, width, height, max(len(hops) - MOST, 0))
