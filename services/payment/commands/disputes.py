"""Disputes: what the payer's bank decides, and what we say to it."""

from __future__ import annotations

from uuid import UUID, uuid4

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from broker import call, clock, publish
from contracts.payment import DisputeLost, DisputeOpened, DisputeWon
from services.payment import outside, rules
from services.payment.commands.patients import surviving_patient
from services.payment.providers import Evidence
from services.payment.tables import Payment, PaymentDispute


async def hear_dispute(session: AsyncSession, payment_id: UUID, word: rules.DisputeWord) -> bool:
    """Takes a dispute of a payment as far as the provider says it is; False when that is no news.

    Whatever is heard first, others hear first that it was opened. Raises PaymentNotFound.
    """
    payment = await Payment.locked(session, payment_id)
    of_provider = [PaymentDispute.provider == payment.provider, PaymentDispute.provider_dispute_id == word.provider_dispute_id]
    known = await session.scalar(select(PaymentDispute).where(*of_provider).with_for_update())
    dispute = known or await _open(session, payment, word)
    if rules.is_dispute_news(dispute.status, word):
        await _move_on(session, payment, dispute, rules.DISPUTE_STATUS_OF[word.outcome])
        return True
    return known is None


async def submit_evidence(session: AsyncSession, dispute_id: UUID, text: str, by: str) -> PaymentDispute:
    """Tells the payer's bank why the money is ours; once, and in time. What is said stays with the call to the provider.

    Raises NotFound, DisputeCannotBecome, EvidenceWasSentAlready, EvidenceIsTooLate.
    """
    dispute = await PaymentDispute.locked(session, dispute_id)
    is_sent = dispute.evidence_at is not None
    rules.check_evidence(dispute.status, dispute.evidence_due_at, is_sent=is_sent, now=clock.now())
    dispute.evidence_by, dispute.evidence_at = by, clock.now()
    names = ("provider", "dispute_id", "provider_dispute_id")
    asked = {name: getattr(dispute, name) for name in names} | {"text": text}
    await call(session, outside.send_evidence, Evidence.model_validate(asked), key=dispute_id)
    return dispute


async def hear_of_evidence(session: AsyncSession, dispute_id: UUID, word: rules.DisputeWord) -> None:
    """The provider has taken our evidence. Raises NotFound."""
    dispute = await PaymentDispute.seen(session, dispute_id)
    await hear_dispute(session, dispute.payment_id, word)


async def _open(session: AsyncSession, payment: Payment, word: rules.DisputeWord) -> PaymentDispute:
    dispute = PaymentDispute(
        dispute_id=uuid4(),
        payment_id=payment.payment_id,
        invoice_id=payment.invoice_id,
        patient_id=await surviving_patient(session, payment.recorded_for),
        facility_id=payment.facility_id,
        value=word.amount.amount,
        currency=word.amount.currency,
        status="open",
        reason=word.reason,
        provider=payment.provider,
        provider_dispute_id=word.provider_dispute_id,
        evidence_due_at=word.evidence_due_at,
        opened_at=clock.now(),
    )
    session.add(dispute)
    publish(session, DisputeOpened.of(dispute))
    return dispute


async def _move_on(session: AsyncSession, payment: Payment, dispute: PaymentDispute, status: rules.DisputeStatus) -> None:
    dispute.move(status)
    if status in ("won", "lost"):
        dispute.decided_at = clock.now()
    if status == "won":
        publish(session, DisputeWon.of(dispute))
    elif status == "lost":
        publish(session, DisputeLost.of(dispute))
