"""What the lab can be asked to do with its catalogue."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from services.lab import rules
from services.lab.errors import OrderNamesATestTwice, TestIsNotOffered
from services.lab.rules import GivenRange
from services.lab.tables import LabTest, ReferenceRange


async def define_test(
    session: AsyncSession,
    code: str,
    *,
    name: str,
    unit: str,
    ranges: Sequence[GivenRange] = (),
    molar_mass: Decimal | None = None,
    normal_text: str | None = None,
    active: bool = True,
) -> LabTest:
    """Puts a test into the catalogue, or changes all that the catalogue says of it.

    code: LOINC. unit: UCUM; values given in another one are converted to it. molar_mass: g/mol.
    Raises ReferenceRangesOverlap, RangeEndsBeforeItBegins.
    """
    rules.check_ranges(ranges)
    test = await session.get(LabTest, code, with_for_update=True, populate_existing=True)
    if test is None:
        test = LabTest(code=code)
        session.add(test)
    test.name, test.unit, test.active = name, unit, active
    test.molar_mass, test.normal_text = molar_mass, normal_text
    test.ranges = [_range(given) for given in ranges]
    return test


async def offered_tests(session: AsyncSession, codes: Sequence[str]) -> list[LabTest]:
    """The tests with these codes, in this order. Raises TestIsNotOffered, OrderNamesATestTwice."""
    if len(set(codes)) < len(codes):
        raise OrderNamesATestTwice
    query = select(LabTest).where(LabTest.code.in_(codes), LabTest.active)
    offered = {test.code: test for test in await session.scalars(query)}
    for code in codes:
        if code not in offered:
            raise TestIsNotOffered(test_code=code)
    return [offered[code] for code in codes]


def _range(given: GivenRange) -> ReferenceRange:
    limits = given.limits
    return ReferenceRange(
        sex=given.sex,
        age_from=given.age_from,
        age_to=given.age_to,
        low=limits.low,
        high=limits.high,
        danger_low=limits.danger_low,
        danger_high=limits.danger_high,
    )
