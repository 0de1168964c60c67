"""The live map: services on a circle, and a line from each to those that hear it. SVG that the page holds, drawn here."""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, hypot, pi, sin

from services.operations.overview import Link, Platform, ServiceState

RADIUS, NODE, MARGIN = 250.0, 44.0, 60.0
BEND = 26.0
"""How far a line leaves the straight way, to its right: that back beside it leaves to the other side."""

POINT = 9.0


@dataclass(frozen=True, slots=True)
class Node:
    """A service and its place."""

    service: ServiceState
    x: float
    y: float

    @property
    def state(self) -> str:
        """What the drawing says of it."""
        if self.service.troubles:
            return "bad"
        return "busy" if self.service.per_second else "calm"


@dataclass(frozen=True, slots=True)
class Curve:
    """A link and its way: from, by way of, to; and the corners of its point."""

    link: Link
    path: str
    point: str

    @property
    def state(self) -> str:
        """What the drawing says of it."""
        if not self.link.is_well:
            return "bad"
        return "busy" if any(queue.per_second for queue in self.link.queues) else "calm"


@dataclass(frozen=True, slots=True)
class Map:
    """All of it; what is in trouble comes last, so that nothing lies over it."""

    nodes: list[Node]
    curves: list[Curve]
    size: float
    node: float = NODE


def drawn(platform: Platform) -> Map:
    """The services in the order of their names, clockwise from the top."""
    middle, count = RADIUS + MARGIN, max(len(platform.services), 1)
    nodes = {
        service.name: Node(service, middle + RADIUS * sin(2 * pi * at / count), middle - RADIUS * cos(2 * pi * at / count))
        for at, service in enumerate(platform.services)
    }
    curves = [_curve(link, nodes[link.publisher], nodes[link.subscriber]) for link in platform.links]
    return Map(list(nodes.values()), sorted(curves, key=lambda curve: ("calm", "busy", "bad").index(curve.state)), 2 * middle)


def _curve(link: Link, source: Node, target: Node) -> Curve:
    length = hypot(target.x - source.x, target.y - source.y) or 1.0
    along_x, along_y = (target.x - source.x) / length, (target.y - source.y) / length
    by_x = (source.x + target.x) / 2 - along_y * BEND * 2
    by_y = (source.y + target.y) / 2 + along_x * BEND * 2
    x1, y1 = _edge(source, by_x, by_y, NODE)
    x2, y2 = _edge(target, by_x, by_y, NODE + POINT)
    tip_x, tip_y = _edge(target, by_x, by_y, NODE)
    aside_x, aside_y = (y2 - tip_y) / 2, (tip_x - x2) / 2
    corners = ((tip_x, tip_y), (x2 + aside_x, y2 + aside_y), (x2 - aside_x, y2 - aside_y))
    point = " ".join(f"{x:.1f},{y:.1f}" for x, y in corners)
    return Curve(link, f"M {x1:.1f} {y1:.1f} Q {by_x:.1f} {by_y:.1f} {x2:.1f} {y2:.1f}", point)


def _edge(node: Node, to_x: float, to_y: float, distance: float) -> tuple[float, float]:
    """The place at a distance from a node's middle, on the way to another place."""
    length = hypot(to_x - node.x, to_y - node.y) or 1.0
    return node.x + (to_x - node.x) / length * distance, node.y + (to_y - node.y) / length * distance
