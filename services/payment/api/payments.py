"""Paying, over HTTP: by card, and at the desk."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from broker import Idempotent, Page, PageRequest, Principal, Reading, Router, Transaction
from contracts.payment import PaymentStatus
from services.payment import commands, tables
from services.payment.api.roles import Cashier, Reader
from services.payment.replicas import InvoiceReference
from services.payment.rules import RecordedPayment
from services.payment.views import payments as views

router = Router(tags=["payments"])


@router.post("/payments", status_code=201)
async def initiate_payment(asked: views.NewCardPayment, who: Cashier, session: Transaction, key: Idempotent) -> views.Payment:
    """Begins to pay an invoice by card. What came of it is told by the payment's state, later."""
    invoice = await InvoiceReference.require(session, asked.invoice_id)
    who.at(invoice.facility_id)
    return views.Payment.model_validate(await commands.initiate_card_payment(session, **dict(asked)))


@router.post("/payments/wallet", status_code=201)
async def initiate_wallet_payment(
    asked: views.NewWalletPayment, who: Cashier, session: Transaction, key: Idempotent
) -> views.Payment:
    """Opens an order at PayPal. Once it is there, `provider_payment_id` is what the payer approves on PayPal's page."""
    who.at((await InvoiceReference.require(session, asked.invoice_id)).facility_id)
    return views.Payment.model_validate(await commands.initiate_wallet_payment(session, **dict(asked)))


@router.post("/payments/mobile", status_code=201)
async def initiate_mobile_payment(
    asked: views.NewMobilePayment, who: Cashier, session: Transaction, key: Idempotent
) -> views.Payment:
    """Asks a payer on their phone for what is open on an invoice. The number is not kept."""
    who.at((await InvoiceReference.require(session, asked.invoice_id)).facility_id)
    return views.Payment.model_validate(await commands.initiate_mobile_payment(session, **dict(asked)))


@router.post("/payments/recorded", status_code=201)
async def record_payment(asked: views.NewRecordedPayment, who: Cashier, session: Transaction, key: Idempotent) -> views.Payment:
    """Records money that has arrived, or cash that was taken: that waits for a second person to verify it.

    An invoice that it names is waited for until it is known here: it may as well be mistyped, or of another facility.
    """
    who.at(asked.facility_id)
    if asked.invoice_id is not None:
        await InvoiceReference.require(session, asked.invoice_id)
    recorded = RecordedPayment(**dict(asked))
    if asked.method == "cash":
        return views.Payment.model_validate(await commands.take_cash(session, recorded, who.subject))
    return views.Payment.model_validate(await commands.record_payment(session, recorded))


@router.post("/payments/{payment_id}/verify")
async def verify_cash(payment_id: UUID, who: Cashier, session: Transaction) -> views.Payment:
    """Counts cash that somebody else has taken: it is ours."""
    await _seen(session, payment_id, who)
    return views.Payment.model_validate(await commands.verify_cash(session, payment_id, who.subject))


@router.post("/payments/{payment_id}/card")
async def provide_card(
    payment_id: UUID, asked: views.Card, who: Cashier, session: Transaction, key: Idempotent
) -> views.Payment:
    """Gives a payment the card that it waits for."""
    await _seen(session, payment_id, who)
    return views.Payment.model_validate(await commands.provide_card(session, payment_id, asked.token))


@router.post("/payments/{payment_id}/capture")
async def capture_payment(
    payment_id: UUID, asked: views.NewCapture, who: Cashier, session: Transaction, key: Idempotent
) -> views.Payment:
    """Asks the provider for what it holds, or for a part of it."""
    await _seen(session, payment_id, who)
    return views.Payment.model_validate(
        await commands.capture_payment(session, payment_id, asked.amount, is_final=asked.is_final)
    )


@router.post("/payments/{payment_id}/cancel")
async def cancel_payment(payment_id: UUID, who: Cashier, session: Transaction) -> views.Payment:
    """Gives a payment up; what the provider holds, it is asked to release."""
    await _seen(session, payment_id, who)
    return views.Payment.model_validate(await commands.cancel_payment(session, payment_id, who.subject))


@router.get("/payments")
async def list_payments(
    who: Reader,
    session: Reading,
    page: PageRequest,
    invoice_id: UUID | None = None,
    patient_id: UUID | None = None,
    status: PaymentStatus | None = None,
) -> Page[views.Payment]:
    """Payments, the oldest first."""
    payment = tables.Payment
    asked = {payment.invoice_id: invoice_id, payment.patient_id: patient_id, payment.status: status}
    given = [column == value for column, value in asked.items() if value is not None]
    query = select(payment).where(who.within(payment.facility_id), *given)
    by = [payment.initiated_at, payment.payment_id]
    return await page.read(session, query, by=by, view=views.Payment.model_validate)


@router.get("/payments/{payment_id}")
async def show_payment(payment_id: UUID, who: Reader, session: Reading) -> views.Payment:
    """A payment."""
    return views.Payment.model_validate(await _seen(session, payment_id, who))


async def _seen(session: AsyncSession, payment_id: UUID, who: Principal) -> tables.Payment:
    payment = await tables.Payment.seen(session, payment_id)
    who.at(payment.facility_id)
    return payment
