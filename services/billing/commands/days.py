"""The days of a facility, which begin by its own clock."""

from __future__ import annotations

from datetime import UTC, date, datetime, tzinfo
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy.ext.asyncio import AsyncSession

from services.billing.replicas import FacilityReference


async def zone_of(session: AsyncSession, facility_id: UUID) -> tzinfo:
    """The facility's time zone; UTC while it is not known here."""
    facility = await FacilityReference.find(session, facility_id)
    return ZoneInfo(facility.time_zone) if facility is not None else UTC


async def day_at(session: AsyncSession, facility_id: UUID, at: datetime) -> date:
    """The facility's day in which a moment lies."""
    return at.astimezone(await zone_of(session, facility_id)).date()
