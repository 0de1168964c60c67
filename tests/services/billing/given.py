"""What billing's tests begin with."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID, uuid4

from sqlalchemy import select

from broker._tables import schedule
from contracts.clinical import (
    EncounterCancelled,
    EncounterDischarged,
    PatientChanged,
    PatientMerged,
    PatientRegistered,
    PatientUnmerged,
    ProcedurePerformed,
)
from contracts.facility import FacilityChanged, FacilityStatus
from contracts.lab import LabOrderCompleted, OrderedTest
from contracts.money import Money
from contracts.payment import (
    DisputeLost,
    DisputeOpened,
    DisputeWon,
    InstallmentPlanDefaulted,
    PaymentSucceeded,
    RefundSucceeded,
)
from services.billing import commands
from services.billing.rules import ImportedInvoice, ImportedLine
from services.billing.tables import BillingAuditEntry, Invoice
from tests.services.kit import Workplace

PATIENT, OTHER_PATIENT, FACILITY, OTHER_FACILITY, ENCOUNTER = (uuid4() for _ in range(5))
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
GLUCOSE, SODIUM = "2345-7", "2951-2"


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


def facility(
    status: FacilityStatus = "active", *, version: int = 1, facility_id: UUID = FACILITY, time_zone: str = "UTC"
) -> FacilityChanged:
    return FacilityChanged(
        facility_id=facility_id,
        name="Juba Teaching Hospital",
        kind="hospital",
        status=status,
        time_zone=time_zone,
        currency="USD",
        state_version=version,
    )


def registered(patient_id: UUID) -> PatientRegistered:
    return PatientRegistered(patient_id=patient_id, facility_id=FACILITY, registered_at=NOON)


def merged(patient_id: UUID, into: UUID) -> PatientMerged:
    return PatientMerged(patient_id=patient_id, into_patient_id=into, facility_id=FACILITY, merged_at=NOON)


def unmerged(patient_id: UUID, of: UUID) -> PatientUnmerged:
    return PatientUnmerged(patient_id=patient_id, from_patient_id=of, facility_id=FACILITY, unmerged_at=NOON)


def completed(
    *codes: str, patient_id: UUID = PATIENT, encounter_id: UUID | None = None, at: datetime = NOON
) -> LabOrderCompleted:
    return LabOrderCompleted(
        order_id=uuid4(),
        patient_id=patient_id,
        facility_id=FACILITY,
        encounter_id=encounter_id,
        tests=tuple(OrderedTest(code=code, name=f"Test {code}") for code in codes),
        completed_at=at,
    )


def discharged(encounter_id: UUID = ENCOUNTER, patient_id: UUID = PATIENT) -> EncounterDischarged:
    return EncounterDischarged(encounter_id=encounter_id, patient_id=patient_id, facility_id=FACILITY, discharged_at=NOON)


def cancelled(encounter_id: UUID = ENCOUNTER) -> EncounterCancelled:
    return EncounterCancelled(encounter_id=encounter_id, patient_id=PATIENT, facility_id=FACILITY, cancelled_at=NOON)


def paid(amount: str, *, invoice_id: UUID | None = None, patient_id: UUID = PATIENT, currency: str = "USD") -> PaymentSucceeded:
    return PaymentSucceeded(
        payment_id=uuid4(),
        invoice_id=invoice_id,
        patient_id=patient_id,
        facility_id=FACILITY,
        amount=Money.of(amount, currency),
        method="cash",
        succeeded_at=NOON,
    )


def performed(code: str, *, encounter_id: UUID | None = None, at: datetime = NOON) -> ProcedurePerformed:
    return ProcedurePerformed(
        procedure_id=uuid4(),
        patient_id=PATIENT,
        facility_id=FACILITY,
        encounter_id=encounter_id,
        code=code,
        description="Suture",
        performed_at=at,
    )


def refunded(payment: PaymentSucceeded, amount: str) -> RefundSucceeded:
    fields = payment.model_dump(include={"payment_id", "invoice_id", "patient_id", "facility_id"})
    return RefundSucceeded(refund_id=uuid4(), amount=usd(amount), succeeded_at=NOON, **fields)


def disputed(payment: PaymentSucceeded, amount: str) -> tuple[DisputeOpened, DisputeWon, DisputeLost]:
    """The same dispute opened, won and lost."""
    fields = payment.model_dump(include={"payment_id", "invoice_id", "patient_id", "facility_id"})
    fields |= {"dispute_id": uuid4(), "amount": usd(amount)}
    return DisputeOpened(evidence_due_at=NOON, **fields), DisputeWon(**fields), DisputeLost(**fields)


def defaulted(invoice: Invoice) -> InstallmentPlanDefaulted:
    return InstallmentPlanDefaulted(
        plan_id=uuid4(),
        invoice_id=invoice.invoice_id,
        patient_id=invoice.patient_id,
        facility_id=invoice.facility_id,
        open_amount=invoice.balance,
        defaulted_at=NOON,
    )


async def priced(billing: Workplace, code: str, amount: str, *, since: date = date(2026, 1, 1)) -> None:
    async with billing.transaction() as session:
        await commands.set_price(session, facility_id=FACILITY, code=code, price=usd(amount), effective_from=since)


async def invoiced(
    billing: Workplace,
    *amounts: str,
    reference: str | None = None,
    due_on: date | None = None,
    patient_id: UUID = PATIENT,
    facility_id: UUID = FACILITY,
) -> Invoice:
    """An issued invoice with a line for each amount, of which the first is paid first."""
    lines = tuple(
        ImportedLine(code=f"line-{at}", description="", amount=usd(amount), priority=at) for at, amount in enumerate(amounts)
    )
    imported = ImportedInvoice(
        external_reference=reference or str(uuid4()),
        patient_id=patient_id,
        facility_id=facility_id,
        lines=lines,
        due_on=due_on,
    )
    async with billing.transaction() as session:
        return await commands.import_invoice(session, imported)


async def invoice_of(billing: Workplace, invoice_id: UUID) -> Invoice:
    async with billing.transaction() as session:
        return await Invoice.locked(session, invoice_id)


async def scheduled(billing: Workplace) -> dict[str, datetime]:
    """The events that billing will tell itself, and when."""
    async with billing.transaction() as session:
        rows = await session.execute(select(schedule.c.name, schedule.c.due_at))
        return {row.name: row.due_at for row in rows}


async def decisions(billing: Workplace) -> list[tuple[str, str, Decimal]]:
    """The audit log: what was decided, by whom, about how much."""
    entry = BillingAuditEntry
    async with billing.transaction() as session:
        rows = await session.execute(select(entry.action, entry.decided_by, entry.amount).order_by(entry.decided_at))
        return [(action, by, amount) for action, by, amount in rows]
