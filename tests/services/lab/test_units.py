"""Units of measure, and values taken from one to another."""

from __future__ import annotations

import contextlib
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.lab.errors import UnitCannotBeConverted, UnitIsUnknown
from services.lab.units import convert, parse

GLUCOSE = Decimal("180.156")
"""g/mol"""

VALUES = st.decimals(min_value="0.001", max_value="10000", places=3)


@pytest.mark.parametrize(
    ("value", "unit", "to", "expected"),
    [
        ("14.2", "g/dL", "g/L", "142"),
        ("142", "g/L", "g/dL", "14.2"),
        ("5", "mg/dL", "g/L", "0.05"),
        ("1", "mg/L", "ug/mL", "1"),
        ("140", "mmol/L", "umol/mL", "140"),
        ("7.1", "10*3/uL", "10*9/L", "7.1"),
        ("4.8", "10*6/uL", "10*12/L", "4.8"),
        ("250", "10*3/uL", "10^9/L", "250"),
        ("1", "ukat/L", "U/L", "60"),
        ("2", "m[IU]/L", "u[IU]/mL", "2"),
        ("40", "%", "1", "0.4"),
        ("400", "[ppth]", "%", "40"),
        ("90", "mL/min", "L/h", "5.4"),
        ("3", "{score}", "1", "3"),
        ("30", "mg/g{creat}", "mg/g", "30"),
    ],
)
def test_values_are_taken_from_one_unit_to_another(value: str, unit: str, to: str, expected: str) -> None:
    """Units of one dimension convert by their factors."""
    assert convert(Decimal(value), unit, to) == Decimal(expected)


@pytest.mark.parametrize(
    ("value", "unit", "to", "molar_mass", "expected"),
    [
        ("5.5", "mmol/L", "mg/dL", "180.156", "99.0858"),
        ("99.0858", "mg/dL", "mmol/L", "180.156", "5.5"),
        ("88.4", "umol/L", "mg/dL", "113.12", "0.999981"),
        ("200", "mg/dL", "mmol/L", "386.65", "5.17264"),
    ],
)
def test_mass_and_substance_convert_by_the_molar_mass(value: str, unit: str, to: str, molar_mass: str, expected: str) -> None:
    """mg/dL and mmol/L convert both ways when the analyte's molar mass is known, to six digits."""
    assert convert(Decimal(value), unit, to, molar_mass=Decimal(molar_mass)) == Decimal(expected)


@given(VALUES, st.sampled_from(["mg/dL", "g/L", "ug/mL", "mmol/L", "umol/L", "nmol/mL"]))
def test_there_and_back_is_the_same_value(value: Decimal, unit: str) -> None:
    """Any concentration of glucose comes back from mg/dL as it was, to one part in ten thousand."""
    there = convert(value, unit, "mg/dL", molar_mass=GLUCOSE)
    back = convert(there, "mg/dL", unit, molar_mass=GLUCOSE)
    assert abs(back - value) <= value * Decimal("1e-4")


@given(VALUES, st.sampled_from(["mm[Hg]", "NO UNITS", "mg/dL", ""]))
def test_the_same_unit_needs_no_knowledge(value: Decimal, unit: str) -> None:
    """A value in the unit of its test stays exactly what it is, also where the unit is not known."""
    assert convert(value, unit, unit) == value


@pytest.mark.parametrize(
    ("unit", "to"),
    [("mg/dL", "mmol/L"), ("U/L", "mg/dL"), ("meq/L", "mmol/L"), ("[IU]/L", "U/L"), ("g", "g/L"), ("%", "g/L")],
)
def test_what_cannot_be_converted_is_refused_by_name(unit: str, to: str) -> None:
    """Without a molar mass, or across kinds, the refusal names both units."""
    with pytest.raises(UnitCannotBeConverted) as refused:
        convert(Decimal(1), unit, to)
    assert refused.value.facts == {"unit": unit, "to": to}


@pytest.mark.parametrize("unit", ["furlong", "mg//dL", "10*x", "mg/", "kk", "Q/L", "mm[Hg]", "{a", "mg.", "/"])
def test_an_unknown_unit_is_refused_by_name(unit: str) -> None:
    """A unit that is not known is named in the refusal."""
    with pytest.raises(UnitIsUnknown) as refused:
        convert(Decimal(1), unit, "mg/dL")
    assert refused.value.facts == {"unit": unit}


@given(st.text(max_size=12))
def test_any_text_is_a_unit_or_refused(text: str) -> None:
    """Nothing that somebody writes as a unit fails in another way."""
    with contextlib.suppress(UnitIsUnknown):
        assert parse(text).factor > 0
