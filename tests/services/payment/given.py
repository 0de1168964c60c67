"""What payment's tests begin with."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from uuid import UUID, uuid4

import httpx

from broker._tokens import issue_token
from contracts.billing import InvoiceChanged, InvoiceStatus
from contracts.clinical import PatientChanged
from contracts.money import Money
from services.payment import commands
from services.payment.rules import CaptureMode, RecordedPayment, Word
from services.payment.tables import Payment, PaymentRefund
from tests.services.kit import KEY, Workplace

PATIENT, OTHER_PATIENT, FACILITY, OTHER_FACILITY, INVOICE = (uuid4() for _ in range(5))
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
SECRET = "whsec_test"


def usd(amount: str) -> Money:
    return Money.of(amount)


def patient(patient_id: UUID, *, version: int = 1, merged_into: UUID | None = None) -> PatientChanged:
    return PatientChanged(
        patient_id=patient_id,
        facility_id=FACILITY,
        medical_record_number="MRN-1",
        full_name="Nour Hassan",
        birth_date=date(1980, 5, 1),
        sex="female",
        status="merged" if merged_into else "active",
        merged_into=merged_into,
        state_version=version,
    )


def invoice(
    balance: str,
    *,
    invoice_id: UUID = INVOICE,
    status: InvoiceStatus = "issued",
    version: int = 1,
    currency: str = "USD",
    payments: tuple[UUID, ...] | None = (),
    patient_id: UUID = PATIENT,
) -> InvoiceChanged:
    return InvoiceChanged(
        invoice_id=invoice_id,
        patient_id=patient_id,
        facility_id=FACILITY,
        number="INV-000001",
        kind="patient",
        status=status,
        total=Money.of("100.00", currency),
        balance=Money.of(balance, currency),
        due_on=date(2026, 4, 1),
        payments=payments,
        state_version=version,
    )


def cash(
    amount: str,
    *,
    reference: str = "till 1",
    invoice_id: UUID | None = INVOICE,
    facility_id: UUID = FACILITY,
    patient_id: UUID = PATIENT,
) -> RecordedPayment:
    return RecordedPayment(
        reference=reference,
        invoice_id=invoice_id,
        patient_id=patient_id,
        facility_id=facility_id,
        amount=usd(amount),
        method="cash",
        received_at=NOON,
    )


async def initiated(
    payment: Workplace,
    amount: str,
    token: str | None = None,
    *,
    invoice_id: UUID = INVOICE,
    capture: CaptureMode = "automatic",
) -> Payment:
    async with payment.transaction() as session:
        return await commands.initiate_card_payment(
            session, invoice_id=invoice_id, amount=usd(amount), token=token, capture=capture
        )


async def recorded(payment: Workplace, money: RecordedPayment) -> Payment:
    async with payment.transaction() as session:
        return await commands.record_payment(session, money)


async def payment_of(payment: Workplace, payment_id: UUID) -> Payment:
    async with payment.transaction() as session:
        return await Payment.locked(session, payment_id)


async def paid_by_card(payment: Workplace, amount: str, *, provider_payment_id: str = "pay_1") -> Payment:
    """A card payment that the provider says it has captured."""
    begun = await initiated(payment, amount, "tok_visa")
    await hear(payment, begun, Word(outcome="captured", provider_payment_id=provider_payment_id))
    return await payment_of(payment, begun.payment_id)


async def hear(payment: Workplace, begun: Payment, word: Word) -> bool:
    async with payment.transaction() as session:
        return await commands.hear_provider(session, begun.payment_id, word)


async def refund_asked(payment: Workplace, paid: Payment, amount: str, *, by: str = "clerk") -> PaymentRefund:
    async with payment.transaction() as session:
        return await commands.request_refund(session, paid.payment_id, usd(amount), reason="charged twice", by=by)


def colleague(payment: Workplace, *roles: str) -> httpx.AsyncClient:
    """Somebody else of the facility than `payment.client`."""
    client = payment.client(*roles, at=FACILITY)
    token = issue_token(KEY, subject="colleague", roles=roles, facilities=[FACILITY], lifetime=timedelta(minutes=5))
    client.headers["Authorization"] = f"Bearer {token}"
    return client
