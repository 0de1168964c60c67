"""Orders over HTTP."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select

from broker import Idempotent, Page, PageRequest, Reading, Router, Transaction, visible
from services.lab import commands
from services.lab.api.access import Clinician, Staff
from services.lab.replicas import PatientReference
from services.lab.rules import OrderStatus
from services.lab.tables import LabOrder
from services.lab.views import AskedOrder, OrderView, Reason

router = Router()


@router.post("/lab-orders", status_code=201)
async def place_order(asked: AskedOrder, session: Transaction, who: Clinician, key: Idempotent) -> OrderView:
    """Orders tests for a patient. 409 `urn:nilecare:not-yet` when the lab has not heard of the patient yet: try again."""
    who.at((await PatientReference.current(session, asked.patient_id)).facility_id)
    return OrderView.model_validate(await commands.place_order(session, **dict(asked), ordered_by=who.user_id))


@router.post("/lab-orders/drafts", status_code=201)
async def draft_order(asked: AskedOrder, session: Transaction, who: Clinician, key: Idempotent) -> OrderView:
    """Prepares an order, of which nobody hears until it is sent."""
    who.at((await PatientReference.current(session, asked.patient_id)).facility_id)
    return OrderView.model_validate(await commands.draft_order(session, **dict(asked), ordered_by=who.user_id))


@router.get("/lab-orders")
async def list_orders(
    session: Reading, who: Staff, page: PageRequest, patient_id: UUID | None = None, status: OrderStatus | None = None
) -> Page[OrderView]:
    """The orders of the token's facilities, the newest first; of one patient (merges are followed), or in one state."""
    query = select(LabOrder).where(who.within(LabOrder.facility_id))
    if patient_id is not None:
        query = query.where(LabOrder.recorded_for.in_(await PatientReference.shown_under(session, patient_id)))
    if status is not None:
        query = query.where(LabOrder.status == status)
    by = [LabOrder.placed_at.desc(), LabOrder.order_id.desc()]
    return await page.read(session, query, by=by, view=OrderView.model_validate)


@router.get("/lab-orders/{order_id}")
async def get_order(order_id: UUID, session: Reading, who: Staff) -> OrderView:
    """One order, with its tests."""
    return OrderView.model_validate(await visible(session, who, LabOrder, order_id))


@router.post("/lab-orders/{order_id}/send")
async def send_order(order_id: UUID, session: Transaction, who: Clinician, key: Idempotent) -> OrderView:
    """Places an order that was a draft."""
    await visible(session, who, LabOrder, order_id)
    return OrderView.model_validate(await commands.send_order(session, order_id))


@router.post("/lab-orders/{order_id}/hold")
async def hold_order(order_id: UUID, asked: Reason, session: Transaction, who: Staff, key: Idempotent) -> OrderView:
    """Nothing more happens to the order until it is resumed."""
    await visible(session, who, LabOrder, order_id)
    return OrderView.model_validate(await commands.hold_order(session, order_id, **dict(asked)))


@router.post("/lab-orders/{order_id}/resume")
async def resume_order(order_id: UUID, session: Transaction, who: Staff, key: Idempotent) -> OrderView:
    """Goes on with the order from where it was put on hold."""
    await visible(session, who, LabOrder, order_id)
    return OrderView.model_validate(await commands.resume_order(session, order_id))


@router.post("/lab-orders/{order_id}/cancel")
async def cancel_order(order_id: UUID, asked: Reason, session: Transaction, who: Clinician, key: Idempotent) -> OrderView:
    """Gives the order up."""
    await visible(session, who, LabOrder, order_id)
    return OrderView.model_validate(await commands.cancel_order(session, order_id, **dict(asked)))
