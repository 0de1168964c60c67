"""Patients' accounts over HTTP: what is owed, how old it is, and what is to their credit."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from broker import Idempotent, NotFound, Page, PageRequest, Reading, Router, Transaction, clock
from contracts.billing import CollectionStatus
from contracts.money import Money
from services.billing import commands, rules, tables, views
from services.billing.api.roles import Clerk, Manager, Reader, seen
from services.billing.replicas import FacilityReference, PatientReference

router = Router()

Invoice = tables.Invoice
BALANCE = Invoice.total_amount - Invoice.allocated_amount - Invoice.adjusted_amount


@router.get("/accounts/{patient_id}")
async def show_account(patient_id: UUID, who: Reader, session: Reading) -> views.Account:
    """What a patient owes; a merged patient's account is that of whom they were merged into."""
    patient = await _surviving(session, patient_id)
    who.at(patient.facility_id)
    credit = tables.Credit
    credited = select(credit.currency, func.sum(credit.amount - credit.used_amount)).where(credit.patient_id == patient.id)
    return views.Account(
        patient_id=patient.id,
        facility_id=patient.facility_id,
        full_name=patient.full_name,
        medical_record_number=patient.medical_record_number,
        owed=await _owed(session, patient.id),
        credit=[
            Money.of(amount, currency)
            for currency, amount in await session.execute(credited.group_by(credit.currency))
            if amount
        ],
    )


@router.get("/accounts/{patient_id}/aging")
async def show_account_aging(patient_id: UUID, who: Reader, session: Reading) -> views.Aging:
    """What a patient owes, by days past due."""
    patient = await _surviving(session, patient_id)
    who.at(patient.facility_id)
    return await _aging(session, patient.facility_id, Invoice.patient_id == patient.id)


@router.get("/facilities/{facility_id}/aging")
async def show_facility_aging(facility_id: UUID, who: Reader, session: Reading) -> views.Aging:
    """What is owed at a facility, by days past due."""
    if await FacilityReference.find(session, who.at(facility_id)) is None:
        raise NotFound
    return await _aging(session, facility_id, Invoice.facility_id == facility_id)


@router.get("/credits")
async def list_credits(who: Reader, session: Reading, page: PageRequest, patient_id: UUID | None = None) -> Page[views.Credit]:
    """Credits of patients."""
    credit = tables.Credit
    query = select(credit).where(who.within(credit.facility_id))
    if patient_id is not None:
        query = query.where(credit.patient_id == patient_id)
    return await page.read(session, query, by=[credit.credit_id], view=views.Credit.model_validate)


@router.post("/credits/{credit_id}/apply")
async def apply_credit(
    credit_id: UUID, asked: views.Application, who: Clerk, session: Transaction, key: Idempotent
) -> views.Invoice:
    """Settles an invoice of the patient with their credit."""
    await seen(session, tables.Credit, credit_id, who)
    invoice = await commands.apply_credit(session, credit_id, asked.invoice_id, asked.amount, by=who.subject)
    return views.Invoice.model_validate(invoice)


@router.post("/collections", status_code=201)
async def send_to_collections(
    asked: views.NewCollection, who: Manager, session: Transaction, key: Idempotent
) -> views.CollectionCase:
    """Gives a patient's overdue debts at a facility to others to ask for."""
    who.at(asked.facility_id)
    case = await commands.send_to_collections(session, **dict(asked), by=who.subject)
    return views.CollectionCase.model_validate(case)


@router.get("/collections")
async def list_collections(
    who: Reader, session: Reading, page: PageRequest, status: CollectionStatus | None = None
) -> Page[views.CollectionCase]:
    """Debts that others ask for, as they were sent."""
    case = tables.CollectionCase
    query = select(case).where(who.within(case.facility_id))
    if status is not None:
        query = query.where(case.status == status)
    return await page.read(session, query, by=[case.sent_at, case.case_id], view=views.CollectionCase.model_validate)


@router.post("/collections/{case_id}/recall")
async def recall_from_collections(case_id: UUID, who: Manager, session: Transaction) -> views.CollectionCase:
    """Takes a case back."""
    await seen(session, tables.CollectionCase, case_id, who)
    case = await commands.recall_from_collections(session, case_id, by=who.subject)
    return views.CollectionCase.model_validate(case)


async def _surviving(session: AsyncSession, patient_id: UUID) -> PatientReference:
    account = await session.get(tables.BillingAccount, patient_id)
    if account is not None and account.merged_into is not None:
        return await _surviving(session, account.merged_into)
    patient = await PatientReference.find(session, patient_id)
    if patient is None:
        raise NotFound
    return patient


async def _owed(session: AsyncSession, patient_id: UUID) -> list[Money]:
    open_ones = [Invoice.patient_id == patient_id, Invoice.status.in_(rules.PAYABLE)]
    query = select(Invoice.currency, func.sum(BALANCE)).where(*open_ones).group_by(Invoice.currency)
    return [Money.of(amount, currency) for currency, amount in await session.execute(query)]


async def _aging(session: AsyncSession, facility_id: UUID, whose: ColumnElement[bool]) -> views.Aging:
    by_day = select(Invoice.due_on, Invoice.currency, func.sum(BALANCE)).group_by(Invoice.due_on, Invoice.currency)
    rows = (await session.execute(by_day.where(whose, Invoice.status.in_(rules.PAYABLE)))).all()
    debts = [(due_on, Money.of(amount, currency)) for due_on, currency, amount in rows if due_on is not None]
    today = await commands.day_at(session, facility_id, clock.now())
    return views.Aging(on=today, buckets=rules.aged(debts, today))
