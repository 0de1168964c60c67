"""The code set that diagnoses are made with; it belongs to all facilities."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query
from sqlalchemy import select

from broker import Page, PageRequest, Reading, Router, Transaction
from services.clinical import commands, views
from services.clinical.api.access import Administrator, Staff
from services.clinical.tables import Icd10Code

router = Router()


@router.put("/icd10-codes", status_code=204)
async def load_codes(asked: views.CodeSet, session: Transaction, who: Administrator) -> None:
    """Adds codes of ICD-10-CM, or replaces what is said of them; a set that is larger than one request comes in several."""
    await commands.load_codes(session, [dict(code) for code in asked.codes])


@router.get("/icd10-codes")
async def list_codes(
    session: Reading, who: Staff, page: PageRequest, begins: Annotated[str, Query(pattern=r"^[A-Z0-9.]{0,8}$")] = ""
) -> Page[views.Icd10CodeView]:
    """The codes that are loaded, in their order; those that begin so."""
    query = select(Icd10Code).where(Icd10Code.code.startswith(begins, autoescape=True))
    return await page.read(session, query, by=[Icd10Code.code], view=views.Icd10CodeView.model_validate)
