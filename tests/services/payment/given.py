"""What payment's tests begin with."""

from __future__ import annotations

from datetime import UTC, date, datetime
from uuid import UUID, uuid4

from contracts.billing import InvoiceChanged, InvoiceStatus
from contracts.clinical import PatientChanged
from contracts.money import Money
from services.payment import commands
from services.payment.rules import RecordedPayment
from services.payment.tables import Payment
from tests.services.kit import Workplace

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


def invoice(balance: str, *, invoice_id: UUID = INVOICE, status: InvoiceStatus = "issued", version: int = 1) -> InvoiceChanged:
    return InvoiceChanged(
        invoice_id=invoice_id,
        patient_id=PATIENT,
        facility_id=FACILITY,
        number="INV-000001",
        kind="patient",
        status=status,
        total=usd("100.00"),
        balance=usd(balance),
        due_on=date(2026, 4, 1),
        state_version=version,
    )


def cash(
    amount: str, *, reference: str = "till 1", invoice_id: UUID | None = INVOICE, facility_id: UUID = FACILITY
) -> RecordedPayment:
    return RecordedPayment(
        reference=reference,
        invoice_id=invoice_id,
        patient_id=PATIENT,
        facility_id=facility_id,
        amount=usd(amount),
        method="cash",
        received_at=NOON,
    )


async def initiated(payment: Workplace, amount: str, token: str | None = None, *, invoice_id: UUID = INVOICE) -> Payment:
    async with payment.transaction() as session:
        return await commands.initiate_card_payment(session, invoice_id=invoice_id, amount=usd(amount), token=token)


async def recorded(payment: Workplace, money: RecordedPayment) -> Payment:
    async with payment.transaction() as session:
        return await commands.record_payment(session, money)


async def payment_of(payment: Workplace, payment_id: UUID) -> Payment:
    async with payment.transaction() as session:
        return await Payment.locked(session, payment_id)
