"""How clinical reacts to what other services say."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncSession

from broker import Envelope, on
from contracts.billing import InvoicePaid
from contracts.lab import LabResultAvailable, LabResultCorrected
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
