"""Who lies where, over HTTP."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select

from broker import Idempotent, Page, PageRequest, Reading, Router, Transaction, visible
from contracts.facility import BedStatus
from services.facility import commands
from services.facility.api.seen import BedManager, Staff
from services.facility.rules import RequestStatus
from services.facility.tables import Bed, BedRequest, BedStay, Facility
from services.facility.views import (
    Assignment,
    BedRequestView,
    BedStayView,
    BedView,
    OutOfService,
    Release,
    Reservation,
    Transfer,
)

router = Router()


@router.get("/facilities/{facility_id}/beds")
async def list_beds_of_facility(
    facility_id: UUID,
    session: Reading,
    who: Staff,
    page: PageRequest,
    status: BedStatus | None = None,
    encounter_id: UUID | None = None,
) -> Page[BedView]:
    """The facility's beds; those in one state, or that of one encounter, where asked for."""
    await visible(session, who, Facility, facility_id)
    query = select(Bed).where(Bed.facility_id == facility_id)
    if status is not None:
        query = query.where(Bed.status == status)
    if encounter_id is not None:
        query = query.where(Bed.encounter_id == encounter_id)
    return await page.read(session, query, by=[Bed.ward_id, Bed.label], view=BedView.model_validate)


@router.get("/facilities/{facility_id}/bed-requests")
async def list_bed_requests(
    facility_id: UUID, session: Reading, who: Staff, page: PageRequest, status: RequestStatus | None = None
) -> Page[BedRequestView]:
    """What encounters asked for, the longest ago first; those in one state where asked for."""
    await visible(session, who, Facility, facility_id)
    query = select(BedRequest).where(BedRequest.facility_id == facility_id)
    if status is not None:
        query = query.where(BedRequest.status == status)
    by = [BedRequest.requested_at, BedRequest.encounter_id]
    return await page.read(session, query, by=by, view=BedRequestView.model_validate)


@router.get("/beds/{bed_id}")
async def get_bed(bed_id: UUID, session: Reading, who: Staff) -> BedView:
    """One bed, and who has it."""
    return BedView.model_validate(await visible(session, who, Bed, bed_id))


@router.get("/beds/{bed_id}/stays")
async def list_stays(bed_id: UUID, session: Reading, who: Staff, page: PageRequest) -> Page[BedStayView]:
    """Who lay in the bed, the latest first."""
    await visible(session, who, Bed, bed_id)
    query = select(BedStay).where(BedStay.bed_id == bed_id)
    by = [BedStay.began_at.desc(), BedStay.stay_id.desc()]
    return await page.read(session, query, by=by, view=BedStayView.model_validate)


@router.post("/beds/{bed_id}/reserve")
async def reserve_bed(bed_id: UUID, asked: Reservation, session: Transaction, who: BedManager, key: Idempotent) -> BedView:
    """Keeps a bed for a planned stay, for as long as the facility's setting `bed_reservation_minutes` says."""
    await visible(session, who, Bed, bed_id)
    return BedView.model_validate(await commands.reserve_bed(session, bed_id, **dict(asked)))


@router.post("/beds/{bed_id}/cancel-reservation")
async def cancel_reservation(bed_id: UUID, session: Transaction, who: BedManager, key: Idempotent) -> BedView:
    """Keeps a bed no longer."""
    await visible(session, who, Bed, bed_id)
    return BedView.model_validate(await commands.cancel_reservation(session, bed_id))


@router.post("/beds/{bed_id}/assign")
async def assign_bed(bed_id: UUID, asked: Assignment, session: Transaction, who: BedManager, key: Idempotent) -> BedView:
    """Gives this bed to an encounter that waits for one."""
    await visible(session, who, Bed, bed_id)
    return BedView.model_validate(await commands.assign_bed(session, bed_id, **dict(asked)))


@router.post("/beds/{bed_id}/transfer")
async def transfer_patient(bed_id: UUID, asked: Transfer, session: Transaction, who: BedManager, key: Idempotent) -> BedView:
    """Moves who lies in this bed to another, which is given back."""
    await visible(session, who, Bed, bed_id)
    await visible(session, who, Bed, asked.to_bed_id)
    return BedView.model_validate(await commands.transfer_patient(session, bed_id, **dict(asked)))


@router.post("/beds/{bed_id}/release")
async def release_bed(bed_id: UUID, asked: Release, session: Transaction, who: BedManager, key: Idempotent) -> BedView:
    """Who lay in this bed has left it for good: it is cleaned."""
    await visible(session, who, Bed, bed_id)
    return BedView.model_validate(await commands.release_bed(session, bed_id, **dict(asked)))


@router.post("/beds/{bed_id}/clean")
async def clean_bed(bed_id: UUID, session: Transaction, who: BedManager, key: Idempotent) -> BedView:
    """The bed was cleaned; who waits for it gets it."""
    await visible(session, who, Bed, bed_id)
    return BedView.model_validate(await commands.put_into_service(session, bed_id, out_of="cleaning"))


@router.post("/beds/{bed_id}/take-out-of-service")
async def take_out_of_service(
    bed_id: UUID, asked: OutOfService, session: Transaction, who: BedManager, key: Idempotent
) -> BedView:
    """Blocks a bed, or gives it to those who repair it."""
    await visible(session, who, Bed, bed_id)
    return BedView.model_validate(await commands.take_out_of_service(session, bed_id, **dict(asked)))


@router.post("/beds/{bed_id}/unblock")
async def unblock_bed(bed_id: UUID, session: Transaction, who: BedManager, key: Idempotent) -> BedView:
    """A bed that was blocked can be used again; who waits for it gets it."""
    await visible(session, who, Bed, bed_id)
    return BedView.model_validate(await commands.put_into_service(session, bed_id, out_of="blocked"))


@router.post("/beds/{bed_id}/repaired")
async def end_maintenance(bed_id: UUID, session: Transaction, who: BedManager, key: Idempotent) -> BedView:
    """A bed was repaired; who waits for it gets it."""
    await visible(session, who, Bed, bed_id)
    return BedView.model_validate(await commands.put_into_service(session, bed_id, out_of="maintenance"))
