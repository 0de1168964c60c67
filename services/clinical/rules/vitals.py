"""Which vital signs can be those of a living person."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from services.clinical.errors import DiastolicIsNotBelowSystolic, VitalSignIsImplausible

Measured = int | Decimal

PLAUSIBLE: Mapping[str, tuple[Measured, Measured]] = {
    "systolic_mmhg": (0, 300),
    "diastolic_mmhg": (0, 200),
    "pulse_per_minute": (0, 300),
    "breaths_per_minute": (0, 120),
    "temperature_celsius": (13, 44),
    "oxygen_saturation_percent": (0, 100),
}
"""Lowest and highest of each.

Source: the outlier limits of the CLIF consortium for vitals, wider where the living have been seen beyond them: breathing of
newborns, saturation in extremis, and the deepest accidental hypothermia survived, 13.7 °C (Gilbert, Lancet 2000).
"""


def check_vitals(measured: Mapping[str, Measured | None]) -> None:
    """Raises VitalSignIsImplausible, which names the sign and its limits, or DiastolicIsNotBelowSystolic."""
    for name, (lowest, highest) in PLAUSIBLE.items():
        value = measured.get(name)
        if value is not None and not lowest <= value <= highest:
            raise VitalSignIsImplausible(sign=name, lowest=lowest, highest=highest)
    systolic, diastolic = measured.get("systolic_mmhg"), measured.get("diastolic_mmhg")
    if systolic is not None and diastolic is not None and diastolic >= systolic:
        raise DiastolicIsNotBelowSystolic
