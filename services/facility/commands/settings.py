"""How a facility wants things."""

from __future__ import annotations

from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from broker import clock
from services.facility import rules
from services.facility.settings import SETTINGS, VISITING_FROM, VISITING_TO, Setting, named
from services.facility.tables import Facility, FacilitySetting

T = TypeVar("T")


async def set_setting(session: AsyncSession, facility_id: UUID, name: str, value: Any) -> Any:
    """Says how a facility wants something; gives it as it is kept.

    Raises SettingIsUnknown, SettingHasAnotherType, VisitingHoursEndBeforeTheyBegin, NotFound.
    """
    # Locked: what two settings say together is one decision at a time.
    await Facility.locked(session, facility_id)
    setting = named(name)
    kept = setting.shown(setting.read(value))
    row = insert(FacilitySetting).values(facility_id=facility_id, name=name, value=kept, set_at=clock.now())
    changed = {"value": row.excluded.value, "set_at": row.excluded.set_at}
    await session.execute(row.on_conflict_do_update(index_elements=["facility_id", "name"], set_=changed))
    if setting in (VISITING_FROM, VISITING_TO):
        hours = [await setting_of(session, facility_id, each) for each in (VISITING_FROM, VISITING_TO)]
        rules.check_visiting_hours(*hours)
    return kept


async def setting_of(session: AsyncSession, facility_id: UUID, setting: Setting[T]) -> T:
    """What a facility wants; where it says nothing, the default."""
    kept = await session.get(FacilitySetting, (facility_id, setting.name), populate_existing=True)
    return setting.default if kept is None else setting.read(kept.value)


async def settings_of(session: AsyncSession, facility_id: UUID) -> dict[str, Any]:
    """Every setting of a facility as JSON data, with the defaults of those about which it says nothing."""
    rows = await session.scalars(select(FacilitySetting).where(FacilitySetting.facility_id == facility_id))
    kept = {row.name: row.value for row in rows}
    return {name: kept.get(name, setting.shown(setting.default)) for name, setting in SETTINGS.items()}
