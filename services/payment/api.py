"""Payment over HTTP: for those who pay and take money, and for the card provider's webhooks."""

from __future__ import annotations

import time
from typing import Annotated
from uuid import UUID

from fastapi import Header, HTTPException, Request
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from broker import (
    Idempotent,
    NotFound,
    OutsideSettings,
    Page,
    PageRequest,
    Principal,
    Reading,
    Router,
    Transaction,
    allow,
    verified_by,
)
from contracts.payment import PaymentStatus
from services.payment import commands, tables, views
from services.payment.errors import WebhookIsNotGenuine
from services.payment.replicas import InvoiceReference
from services.payment.rules import RecordedPayment
from services.payment.signatures import check_signature

router = Router(tags=["payment"])

Reader = Annotated[Principal, allow("cashier", "billing_clerk", "billing_manager")]
Cashier = Annotated[Principal, allow("cashier", "billing_manager")]


@router.post("/payments", status_code=201)
async def initiate_payment(asked: views.NewCardPayment, who: Cashier, session: Transaction, key: Idempotent) -> views.Payment:
    """Begins to pay an invoice by card. What came of it is told by the payment's state, later."""
    invoice = await InvoiceReference.require(session, asked.invoice_id)
    who.at(invoice.facility_id)
    return views.Payment.model_validate(await commands.initiate_card_payment(session, **dict(asked)))


@router.post("/payments/recorded", status_code=201)
async def record_payment(asked: views.NewRecordedPayment, who: Cashier, session: Transaction, key: Idempotent) -> views.Payment:
    """Records money that was taken or has arrived."""
    who.at(asked.facility_id)
    return views.Payment.model_validate(await commands.record_payment(session, RecordedPayment(**dict(asked))))


@router.post("/payments/{payment_id}/card")
async def provide_card(
    payment_id: UUID, asked: views.Card, who: Cashier, session: Transaction, key: Idempotent
) -> views.Payment:
    """Gives a payment the card that it waits for."""
    await _seen(session, payment_id, who)
    return views.Payment.model_validate(await commands.provide_card(session, payment_id, asked.token))


@router.post("/payments/{payment_id}/cancel")
async def cancel_payment(payment_id: UUID, who: Cashier, session: Transaction) -> views.Payment:
    """Gives a payment up before the provider was asked for the money."""
    await _seen(session, payment_id, who)
    return views.Payment.model_validate(await commands.cancel_payment(session, payment_id))


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
    query = select(payment).where(who.within(payment.facility_id))
    if invoice_id is not None:
        query = query.where(payment.invoice_id == invoice_id)
    if patient_id is not None:
        query = query.where(payment.patient_id == patient_id)
    if status is not None:
        query = query.where(payment.status == status)
    by = [payment.initiated_at, payment.payment_id]
    return await page.read(session, query, by=by, view=views.Payment.model_validate)


@router.get("/payments/{payment_id}")
async def show_payment(payment_id: UUID, who: Reader, session: Reading) -> views.Payment:
    """A payment."""
    return views.Payment.model_validate(await _seen(session, payment_id, who))


async def signed_by_provider(
    request: Request,
    outside: OutsideSettings,
    signature: Annotated[str | None, Header(alias="Card-Signature", description="t=<unix seconds>,v1=<hex>")] = None,
) -> None:
    """Proves that the card provider sent the request. Raises a 400 problem; nothing of the request is kept."""
    secret = outside.get("card_provider_secret")
    try:
        if not secret:
            raise WebhookIsNotGenuine
        check_signature(secret, signature, await request.body(), now=time.time())
    except WebhookIsNotGenuine as refused:
        raise HTTPException(400, "The signature is not valid.") from refused


@router.post("/webhooks/card", status_code=204, dependencies=[verified_by(signed_by_provider)])
async def take_webhook(event: views.ProviderEvent, session: Transaction) -> None:
    """Takes an event of the card provider; the same one again changes nothing."""
    await commands.take_webhook(session, event.id, event.type, event.data.reference, event.word())


async def _seen(session: AsyncSession, payment_id: UUID, who: Principal) -> tables.Payment:
    payment = await session.get(tables.Payment, payment_id)
    if payment is None:
        raise NotFound
    who.at(payment.facility_id)
    return payment
