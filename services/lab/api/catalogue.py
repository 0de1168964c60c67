"""The catalogue over HTTP."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path
from sqlalchemy import select

from broker import Page, PageRequest, Reading, Router, Transaction
from services.lab import commands
from services.lab.api.access import LabManager, Staff
from services.lab.tables import LabTest
from services.lab.views import AskedTest, Code, TestView

router = Router()


@router.put("/lab-tests/{code}")
async def define_test(code: Annotated[Code, Path()], asked: AskedTest, session: Transaction, who: LabManager) -> TestView:
    """Puts a test into the catalogue, or changes all that the catalogue says of it."""
    test = await commands.define_test(
        session,
        code,
        name=asked.name,
        unit=asked.unit,
        molar_mass=asked.molar_mass,
        normal_text=asked.normal_text,
        active=asked.active,
        ranges=[range_.given() for range_ in asked.ranges],
        policy=asked.policy(),
    )
    return TestView.model_validate(test)


@router.get("/lab-tests")
async def list_tests(session: Reading, who: Staff, page: PageRequest) -> Page[TestView]:
    """The catalogue."""
    return await page.read(session, select(LabTest), by=[LabTest.code], view=TestView.model_validate)


@router.get("/lab-tests/{code}")
async def get_test(code: str, session: Reading, who: Staff) -> TestView:
    """A test of the catalogue, with its reference ranges."""
    return TestView.model_validate(await LabTest.seen(session, code))
