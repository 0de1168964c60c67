"""Where inpatients lie, as facility says."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncSession

from broker import publish
from contracts.clinical import EncounterTransferred
from contracts.facility import BedAssigned, BedReleased
from services.clinical.tables import Encounter


async def take_bed(session: AsyncSession, assigned: BedAssigned) -> None:
    """An inpatient lies in a bed; who lay in another one before was transferred. Raises NotFound."""
    encounter = await Encounter.locked(session, assigned.encounter_id)
    encounter.bed_id = assigned.bed_id
    if assigned.transferred_from is not None:
        beds = {"from_bed_id": assigned.transferred_from, "to_bed_id": assigned.bed_id}
        publish(session, EncounterTransferred.of(encounter, **beds, transferred_at=assigned.assigned_at))


async def leave_bed(session: AsyncSession, released: BedReleased) -> None:
    """An inpatient no longer has this bed; one taken since stays theirs.

    A bed can have been kept for an encounter that was never planned here: then nobody leaves it.
    """
    encounter = await session.get(Encounter, released.encounter_id, with_for_update=True, populate_existing=True)
    if encounter is not None and encounter.bed_id == released.bed_id:
        encounter.bed_id = None
