"""Units of measure as UCUM writes them, and values taken from one to another.

Known is what a lab measures in: `mg/dL`, `mmol/L`, `10*9/L`, `U/L`, `%`, `{score}`, … Units that the lab does not know are
refused only where something must be converted. Source: The Unified Code for Units of Measure, version 2.1.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Context, Decimal
from functools import lru_cache
from typing import Literal

from services.lab.errors import UnitCannotBeConverted, UnitIsUnknown

Kind = Literal["mass", "substance", "volume", "catalysis", "arbitrary", "equivalent", "length", "time", "number"]

SIX_DIGITS = Context(prec=6)
"""A converted value keeps six significant digits: more than any assay resolves."""

PREFIXES = {
    "": Decimal(1),
    "k": Decimal("1e3"),
    "d": Decimal("1e-1"),
    "c": Decimal("1e-2"),
    "m": Decimal("1e-3"),
    "u": Decimal("1e-6"),
    "n": Decimal("1e-9"),
    "p": Decimal("1e-12"),
    "f": Decimal("1e-15"),
}

PREFIXED: dict[str, tuple[Kind, Decimal]] = {
    "g": ("mass", Decimal(1)),
    "mol": ("substance", Decimal(1)),
    "L": ("volume", Decimal(1)),
    "l": ("volume", Decimal(1)),
    # 1 U = 1 umol/min, 1 kat = 1 mol/s.
    "U": ("catalysis", Decimal(1)),
    "kat": ("catalysis", Decimal("6e7")),
    "[IU]": ("arbitrary", Decimal(1)),
    "eq": ("equivalent", Decimal(1)),
    "m": ("length", Decimal(1)),
    "s": ("time", Decimal(1)),
}

BARE: dict[str, tuple[Kind, Decimal]] = {
    "1": ("number", Decimal(1)),
    "%": ("number", Decimal("0.01")),
    "[ppth]": ("number", Decimal("0.001")),
    "min": ("time", Decimal(60)),
    "h": ("time", Decimal(3600)),
    "d": ("time", Decimal(86400)),
}

POWER_OF_TEN = re.compile(r"10[*^](-?\d{1,2})")
ANNOTATION = re.compile(r"\{[^{}]*\}")

Dimension = tuple[tuple[Kind, int], ...]


@dataclass(frozen=True, slots=True)
class Unit:
    """What a unit measures, and how many base units one of it is."""

    code: str
    dimension: Dimension
    factor: Decimal

    def measures(self, kind: Kind) -> bool:
        """Whether it counts `kind` (per something else)."""
        return (kind, 1) in self.dimension

    def with_kind(self, old: Kind, new: Kind) -> Dimension:
        """Its dimension, with one kind in place of another."""
        return tuple(sorted((new if kind == old else kind, power) for kind, power in self.dimension))


def convert(value: Decimal, unit: str, to: str, *, molar_mass: Decimal | None = None) -> Decimal:
    """`value`, given in `unit`, in the unit `to`; unchanged when they are the same.

    molar_mass: of the analyte in g/mol; without it mass and substance cannot be taken for each other.
    Raises UnitIsUnknown, UnitCannotBeConverted.
    """
    if unit == to:
        return value
    given, wanted = parse(unit), parse(to)
    base = value * given.factor / wanted.factor
    if given.dimension == wanted.dimension:
        return SIX_DIGITS.plus(base)
    if molar_mass is not None and given.with_kind("mass", "substance") == wanted.dimension and given.measures("mass"):
        return SIX_DIGITS.plus(base / molar_mass)
    if molar_mass is not None and given.with_kind("substance", "mass") == wanted.dimension and given.measures("substance"):
        return SIX_DIGITS.plus(base * molar_mass)
    raise UnitCannotBeConverted(unit=unit, to=to)


@lru_cache(maxsize=1024)
def parse(code: str) -> Unit:
    """The unit that a UCUM code means. Raises UnitIsUnknown."""
    powers: dict[Kind, int] = {}
    factor = Decimal(1)
    for position, term in enumerate(code.split("/")):
        sign = -1 if position else 1
        for component in term.split(".") if term or position else ["1"]:
            kind, size = _component(component, code)
            powers[kind] = powers.get(kind, 0) + sign
            factor = factor * size if sign > 0 else factor / size
    powers.pop("number", None)
    return Unit(code, tuple(sorted((kind, power) for kind, power in powers.items() if power)), factor)


def _component(text: str, code: str) -> tuple[Kind, Decimal]:
    bare = ANNOTATION.sub("", text)
    if text and not bare:
        return "number", Decimal(1)
    power = POWER_OF_TEN.fullmatch(bare)
    if power:
        return "number", Decimal(10) ** int(power[1])
    if bare in BARE:
        return BARE[bare]
    for atom, (kind, size) in PREFIXED.items():
        if bare.endswith(atom) and bare[: -len(atom)] in PREFIXES:
            return kind, PREFIXES[bare[: -len(atom)]] * size
    raise UnitIsUnknown(unit=code)
