"""Facilities and their settings over HTTP."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Path
from sqlalchemy import select

from broker import Idempotent, Page, PageRequest, Reading, Router, Transaction, visible
from services.facility import commands
from services.facility.api.seen import FacilityManager, Staff
from services.facility.settings import SETTINGS, named
from services.facility.tables import Facility
from services.facility.views import AskedFacility, AskedSetting, FacilityView, SettingName, SettingsView, SettingView

router = Router()


@router.put("/facilities/{facility_id}")
async def put_facility(facility_id: UUID, asked: AskedFacility, session: Transaction, who: FacilityManager) -> FacilityView:
    """Opens a facility under an id of the client's choice, or changes what is said of it."""
    who.at(facility_id)
    return FacilityView.model_validate(await commands.put_facility(session, facility_id, **dict(asked)))


@router.get("/facilities")
async def list_facilities(session: Reading, who: Staff, page: PageRequest) -> Page[FacilityView]:
    """The token's facilities, by name."""
    query = select(Facility).where(who.within(Facility.facility_id))
    by = [Facility.name, Facility.facility_id]
    return await page.read(session, query, by=by, view=FacilityView.model_validate)


@router.get("/facilities/{facility_id}")
async def get_facility(facility_id: UUID, session: Reading, who: Staff) -> FacilityView:
    """One facility."""
    return FacilityView.model_validate(await visible(session, who, Facility, facility_id))


@router.post("/facilities/{facility_id}/deactivate")
async def deactivate_facility(facility_id: UUID, session: Transaction, who: FacilityManager, key: Idempotent) -> FacilityView:
    """Nothing new begins here; refused while a bed is occupied or reserved."""
    await visible(session, who, Facility, facility_id)
    return FacilityView.model_validate(await commands.deactivate_facility(session, facility_id))


@router.post("/facilities/{facility_id}/activate")
async def activate_facility(facility_id: UUID, session: Transaction, who: FacilityManager, key: Idempotent) -> FacilityView:
    """The facility works again."""
    await visible(session, who, Facility, facility_id)
    return FacilityView.model_validate(await commands.activate_facility(session, facility_id))


@router.get("/facilities/{facility_id}/settings")
async def list_settings(facility_id: UUID, session: Reading, who: Staff) -> SettingsView:
    """Every setting, with the default where the facility says nothing."""
    await visible(session, who, Facility, facility_id)
    values = await commands.settings_of(session, facility_id)
    settings = [SettingView(name=name, value=values[name], meaning=SETTINGS[name].meaning) for name in SETTINGS]
    return SettingsView(settings=settings)


@router.put("/facilities/{facility_id}/settings/{setting}")
async def set_setting(
    facility_id: UUID,
    setting: Annotated[SettingName, Path()],
    asked: AskedSetting,
    session: Transaction,
    who: FacilityManager,
) -> SettingView:
    """Says how the facility wants something."""
    await visible(session, who, Facility, facility_id)
    value = await commands.set_setting(session, facility_id, setting, asked.value)
    return SettingView(name=setting, value=value, meaning=named(setting).meaning)
