"""How payment reacts to what happens elsewhere: events of other services, and providers' answers."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncSession

from broker import on
from contracts.billing import InvoiceChanged, InvoiceVoided
from contracts.clinical import PatientMerged, PatientUnmerged
from contracts.payment import InstallmentCheckDue, PaymentCheckDue, StellarPollDue
from services.payment import commands, outside
from services.payment.providers import (
    Authorisation,
    Capture,
    Evidence,
    LookUp,
    Prompt,
    Refund,
    Release,
    TransfersAsked,
    TransfersGot,
)
from services.payment.rules import DisputeWord, RefundWord, Word


@on(PatientMerged, PatientUnmerged)
async def merge_patient(event: PatientMerged | PatientUnmerged, session: AsyncSession) -> None:
    """What one patient is paying is the other's payment, until the merge is taken back."""
    if isinstance(event, PatientMerged):
        await commands.merge_patient(session, event.patient_id, event.into_patient_id)
    else:
        await commands.unmerge_patient(session, event.patient_id)


@on(InvoiceVoided)
async def cancel_what_would_pay_it(event: InvoiceVoided, session: AsyncSession) -> None:
    """Nobody pays an invoice that never counted."""
    await commands.cancel_payments_of(session, event.invoice_id)


@on(InvoiceChanged)
async def settle_plan(event: InvoiceChanged, session: AsyncSession) -> None:
    """What is paid in parts follows its invoice: whatever lowers that, or raises it again."""
    await commands.follow_invoice(session, event.invoice_id, event)


@on(InstallmentCheckDue)
async def check_installment(event: InstallmentCheckDue, session: AsyncSession) -> None:
    """An instalment is due, or overdue, if it was not paid by then."""
    await commands.check_installment(session, event.plan_id, event.number)


@on(PaymentCheckDue)
async def check_payment(event: PaymentCheckDue, session: AsyncSession) -> None:
    """What its payer has not been heard to agree to, the provider is asked about."""
    await commands.check_payment(session, event.payment_id, event.attempt)


@on(StellarPollDue)
async def read_ledger(event: StellarPollDue, session: AsyncSession) -> None:
    """It is time to see what arrived."""
    await commands.read_ledger(session)


@outside.authorise.then
async def hear_of_authorisation(session: AsyncSession, request: Authorisation, word: Word) -> None:
    """The provider holds the money, or refused."""
    await commands.hear_provider(session, request.payment_id, word)


@outside.prompt.then
async def hear_of_prompt(session: AsyncSession, request: Prompt, word: Word) -> None:
    """The payer was asked on their phone, or could not be; or nobody knows."""
    await commands.hear_provider(session, request.payment_id, word)


@outside.look_up.then
async def hear_of_look_up(session: AsyncSession, request: LookUp, word: Word) -> None:
    """What the provider says, when asked, became of a payment."""
    await commands.hear_provider(session, request.payment_id, word)


@outside.capture.then
async def hear_of_capture(session: AsyncSession, request: Capture, word: Word) -> None:
    """The provider took the money for us."""
    await commands.hear_answer(session, request.payment_id, word)


@outside.release.then
async def hear_of_release(session: AsyncSession, request: Release, word: Word) -> None:
    """The provider holds no more money for us."""
    await commands.hear_answer(session, request.payment_id, word)


@outside.refund.then
async def hear_of_refund(session: AsyncSession, request: Refund, word: RefundWord) -> None:
    """The provider gave money back, will, or refused."""
    await commands.hear_refund(session, request.refund_id, word)


@outside.send_evidence.then
async def hear_of_evidence(session: AsyncSession, request: Evidence, word: DisputeWord) -> None:
    """The provider has taken our side of a dispute to the payer's bank."""
    await commands.hear_of_evidence(session, request.dispute_id, word)


@outside.fetch_certificate.then
async def keep_certificate(session: AsyncSession, request: outside.CertificateAsked, got: outside.CertificateGot) -> None:
    """The next webhook that names it can be verified."""
    await commands.keep_certificate(session, request.url, got.pem)


@outside.read_transfers.then
async def take_transfers(session: AsyncSession, request: TransfersAsked, got: TransfersGot) -> None:
    """What arrived pays what its memo names, or waits for a person."""
    await commands.take_transfers(session, got)
