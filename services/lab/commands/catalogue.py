"""What the lab can be asked to do with its catalogue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from services.lab import rules
from services.lab.errors import OrderNamesATestTwice, TestIsNotOffered
from services.lab.rules import CONTROL_HOURS, Delta, GivenRange, GivenReflex
from services.lab.tables import LabTest, ReferenceRange, ReflexTest


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How the lab goes about a test.

    delta: None for no comparison with the patient's previous result. auto_verify: release what nobody has to look at.
    control_hours: how long a control speaks for results. duplicate_hours: how soon it is not ordered again without a reason.
    """

    delta: Delta | None = None
    auto_verify: bool = False
    control_hours: int = CONTROL_HOURS
    duplicate_hours: int | None = None
    reflexes: Sequence[GivenReflex] = ()


BY_HAND = Policy()
"""Every result is verified by somebody; nothing is compared, refused or added."""


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
    policy: Policy = BY_HAND,
) -> LabTest:
    """Puts a test into the catalogue, or changes all that the catalogue says of it.

    code: LOINC. unit: UCUM; values given in another one are converted to it. molar_mass: g/mol.
    Raises ReferenceRangesOverlap, RangeEndsBeforeItBegins, DeltaNeedsALimit, ReflexNeedsACondition, ReflexNamesItsOwnTest,
    and TestIsNotOffered for a reflex test that the catalogue does not have.
    """
    rules.check_ranges(ranges)
    rules.check_delta(policy.delta)
    rules.check_reflexes(code, policy.reflexes)
    await offered_tests(session, sorted({reflex.further_test for reflex in policy.reflexes}))
    test = await session.get(LabTest, code, with_for_update=True, populate_existing=True)
    if test is None:
        test = LabTest(code=code)
        session.add(test)
    test.name, test.unit, test.active = name, unit, active
    test.molar_mass, test.normal_text = molar_mass, normal_text
    test.ranges = [_range(given) for given in ranges]
    _apply(policy, test)
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


def _apply(policy: Policy, test: LabTest) -> None:
    test.delta, test.duplicate_hours = policy.delta, policy.duplicate_hours
    test.auto_verify, test.control_hours = policy.auto_verify, policy.control_hours
    test.reflexes = [
        ReflexTest(further_test=given.further_test, flag=given.flag, below=given.below, above=given.above)
        for given in policy.reflexes
    ]
