"""How payment reacts to what happens elsewhere: events of other services, and the card provider's answers."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncSession

from broker import on
from contracts.billing import InvoiceVoided
from contracts.clinical import PatientMerged
from services.payment import commands
from services.payment.outside import Answer, Authorisation, Capture, authorise_card, capture_card


@on(PatientMerged)
async def merge_patient(event: PatientMerged, session: AsyncSession) -> None:
    """What one patient is paying is the other's payment."""
    await commands.merge_patient(session, event.patient_id, event.into_patient_id)


@on(InvoiceVoided)
async def cancel_what_would_pay_it(event: InvoiceVoided, session: AsyncSession) -> None:
    """Nobody pays an invoice that never counted."""
    await commands.cancel_payments_of(session, event.invoice_id)


@authorise_card.then
async def hear_of_authorisation(session: AsyncSession, request: Authorisation, answer: Answer) -> None:
    """The provider holds the money, or refused."""
    await commands.hear_provider(session, request.payment_id, answer.word())


@capture_card.then
async def hear_of_capture(session: AsyncSession, request: Capture, answer: Answer) -> None:
    """The provider took the money for us."""
    await commands.hear_provider(session, request.payment_id, answer.word())
