"""What happens to patients' beds when two patients turn out to be one, or two after all, or a patient dies."""

from __future__ import annotations

from collections.abc import Callable, Collection
from uuid import UUID

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from broker import NotYet
from services.facility import rules
from services.facility.commands.giving import serve_waiting, take_back
from services.facility.commands.stays import close
from services.facility.replicas import PatientReference
from services.facility.tables import Bed, BedRequest, BedStay, Facility


async def merge_patient(session: AsyncSession, patient_id: UUID, into_patient_id: UUID, facility_id: UUID) -> None:
    """What one patient has or waits for is the other's. Who lay in two beds lies in the one that they came to last.

    What is over stays with whom it was for, and one who has died needs none of it. Raises NotYet.
    """
    facility = await Facility.in_hand(session, facility_id)
    if facility is None or not await _is_concerned(session, patient_id):
        return
    into = await PatientReference.current(session, into_patient_id)
    for encounter_id in (await _encounters_in_bed(session, {patient_id, into.id}))[1:]:
        await close(session, await BedRequest.seen(session, encounter_id), "transferred")
    await _hand_over(session, lambda table: table.patient_id == patient_id, to=into.id)
    if into.status == "deceased":
        await _release(session, into.id)
    await serve_waiting(session, facility)


async def unmerge_patient(session: AsyncSession, patient_id: UUID, facility_id: UUID) -> None:
    """What was asked for a patient, or for whom was merged into them, and is not over is theirs again, with the beds.

    A bed that the merge took away is not given again: somebody else may lie in it.
    """
    facility = await Facility.in_hand(session, facility_id)
    recorded_for = await PatientReference.identities(session, patient_id)
    theirs = select(BedRequest.encounter_id).where(BedRequest.recorded_for.in_(recorded_for), BedRequest.status != "closed")
    encounters = list(await session.scalars(theirs))
    if facility is None or not encounters:
        return
    await _hand_over(session, lambda table: table.encounter_id.in_(encounters), to=patient_id)
    await serve_waiting(session, facility)


async def release_beds_of(session: AsyncSession, patient_id: UUID, facility_id: UUID) -> None:
    """A patient who died needs no bed any more. Raises NotYet while their reference would still let them have one."""
    facility = await Facility.in_hand(session, facility_id)
    if facility is None:
        return
    if (await PatientReference.require(session, patient_id)).status in rules.TREATED:
        raise NotYet(PatientReference, patient_id)
    if await _is_concerned(session, patient_id):
        await _release(session, patient_id)
        await serve_waiting(session, facility)


async def _release(session: AsyncSession, patient_id: UUID) -> None:
    needs = [BedRequest.patient_id == patient_id, BedRequest.status != "closed"]
    for request in await session.scalars(select(BedRequest).where(*needs).execution_options(populate_existing=True)):
        await close(session, request, "deceased")
    for bed in await Bed.all_of(session, Bed.patient_id == patient_id):
        await take_back(session, bed, "deceased")


async def _hand_over(
    session: AsyncSession, theirs: Callable[[type[Bed | BedStay | BedRequest]], ColumnElement[bool]], *, to: UUID
) -> None:
    """Makes `to` the patient of these beds, and of the stays and needs among these that are not over."""
    for bed in await Bed.all_of(session, theirs(Bed)):
        bed.patient_id = to
    await session.execute(update(BedStay).where(theirs(BedStay), BedStay.ended_at.is_(None)).values(patient_id=to))
    await session.execute(update(BedRequest).where(theirs(BedRequest), BedRequest.status != "closed").values(patient_id=to))


async def _is_concerned(session: AsyncSession, patient_id: UUID) -> bool:
    """Whether a patient has a bed or needs one."""
    needs = select(BedRequest.encounter_id).where(BedRequest.patient_id == patient_id, BedRequest.status != "closed")
    kept = select(Bed.bed_id).where(Bed.patient_id == patient_id)
    return (await session.scalar(needs.union_all(kept).limit(1))) is not None


async def _encounters_in_bed(session: AsyncSession, patients: Collection[UUID]) -> list[UUID]:
    """The encounters for which these patients lie in beds, the latest first."""
    lying = select(BedStay.encounter_id).where(BedStay.patient_id.in_(patients), BedStay.ended_at.is_(None))
    return list(await session.scalars(lying.order_by(BedStay.began_at.desc(), BedStay.stay_id)))
