"""Controls over HTTP."""

from __future__ import annotations

from sqlalchemy import select

from broker import Idempotent, Page, PageRequest, Reading, Router, Transaction
from services.lab import commands
from services.lab.api.access import LabStaff
from services.lab.tables import ControlMeasurement
from services.lab.views import AskedControl, Code, ControlView

router = Router()


@router.post("/controls", status_code=201)
async def record_control(asked: AskedControl, session: Transaction, who: LabStaff, key: Idempotent) -> ControlView:
    """Notes what a control showed, and judges it."""
    who.at(asked.facility_id)
    return ControlView.model_validate(await commands.record_control(session, **dict(asked), measured_by=who.user_id))


@router.get("/controls")
async def list_controls(session: Reading, who: LabStaff, page: PageRequest, test_code: Code | None = None) -> Page[ControlView]:
    """The controls of the token's facilities, the newest first; of one test, where asked for."""
    query = select(ControlMeasurement).where(who.within(ControlMeasurement.facility_id))
    if test_code is not None:
        query = query.where(ControlMeasurement.test_code == test_code)
    by = [ControlMeasurement.measured_at.desc(), ControlMeasurement.control_id.desc()]
    return await page.read(session, query, by=by, view=ControlView.model_validate)
