"""How clinical reacts to what other services say."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncSession

from broker import Envelope, on
from contracts.billing import InvoicePaid
from contracts.facility import BedAssigned, BedReleased
from contracts.lab import (
    LabOrderCancelled,
    LabOrderCompleted,
    LabOrderPlaced,
    LabResultAvailable,
    LabResultCorrected,
    LabSampleRejected,
)
from services.clinical import commands


@on(LabResultAvailable, LabResultCorrected)
async def show_result_in_record(
    result: LabResultAvailable | LabResultCorrected, envelope: Envelope, session: AsyncSession
) -> None:
    """A result, and later its correction, are entered side by side."""
    await commands.enter_result(session, result, source_event_id=envelope.id)


@on(InvoicePaid)
async def show_paid_invoice_in_record(invoice: InvoicePaid, envelope: Envelope, session: AsyncSession) -> None:
    """Those who treat the patient see that what they did was paid."""
    await commands.enter_paid_invoice(session, invoice, source_event_id=envelope.id)


@on(BedAssigned, BedReleased)
async def follow_bed(said: BedAssigned | BedReleased, session: AsyncSession) -> None:
    """The encounter shows where its patient lies; one queue for both, so that they are heard in their order."""
    if isinstance(said, BedAssigned):
        await commands.take_bed(session, said)
    else:
        await commands.leave_bed(session, said)


@on(LabOrderPlaced)
async def follow_order(placed: LabOrderPlaced, session: AsyncSession) -> None:
    """An inpatient waits for what was ordered urgently."""
    await commands.follow_order(session, placed)


@on(LabSampleRejected)
async def expect_recollection(rejected: LabSampleRejected, session: AsyncSession) -> None:
    """A sample that cannot be used is taken again, and waited for again."""
    await commands.expect_recollection(session, rejected)


@on(LabOrderCancelled, LabOrderCompleted)
async def close_order(ended: LabOrderCancelled | LabOrderCompleted, session: AsyncSession) -> None:
    """Nobody waits for an order that ended."""
    await commands.close_order(session, ended)
