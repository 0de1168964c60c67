"""Patients' accounts, and what happens to them when two patients turn out to be one."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncSession

from services.billing import rules
from services.billing.errors import PatientCannotMergeIntoThemselves
from services.billing.replicas import PatientReference
from services.billing.tables import (
    BillingAccount,
    Charge,
    CollectionCase,
    CouponRedemption,
    Credit,
    InsuranceClaim,
    InsurancePolicy,
    Invoice,
)

THEIRS = (Credit, CouponRedemption, InsurancePolicy, InsuranceClaim, CollectionCase)
"""What of a merged patient is the other's from then on, whatever its state; the audit log stays as it was written."""


async def open_account(session: AsyncSession, patient_id: UUID, facility_id: UUID) -> BillingAccount:
    """Opens a new patient's account; does nothing when there is one."""
    return await BillingAccount.opened(session, patient_id, facility_id)


async def account_of(session: AsyncSession, patient_id: UUID, *, alone: bool = False) -> BillingAccount:
    """The account that a patient's money belongs to: after a merge, that of whom they were merged into.

    alone: nobody else works on it until the transaction ends. Raises NotYet when the patient is not known here yet.
    """
    patient = await PatientReference.require(session, patient_id)
    account = await BillingAccount.opened(session, patient_id, patient.facility_id, alone=alone)
    return account if account.merged_into is None else await account_of(session, account.merged_into, alone=alone)


async def merge_patient(session: AsyncSession, patient_id: UUID, into_patient_id: UUID, facility_id: UUID) -> None:
    """Gives everything open of one patient to another. Raises PatientCannotMergeIntoThemselves, NotYet."""
    merged = await BillingAccount.opened(session, patient_id, facility_id, alone=True)
    surviving = await account_of(session, into_patient_id)
    if surviving.patient_id == patient_id:
        raise PatientCannotMergeIntoThemselves(patient_id=patient_id)
    merged.merged_into = surviving.patient_id
    await _hand_over(session, patient_id, surviving.patient_id)


async def _hand_over(session: AsyncSession, patient_id: UUID, to: UUID) -> None:
    not_invoiced = [Charge.patient_id == patient_id, Charge.status != "invoiced"]
    await session.execute(update(Charge).where(*not_invoiced).values(patient_id=to))
    for table in THEIRS:
        await session.execute(update(table).where(table.patient_id == patient_id).values(patient_id=to))
    still_open = Invoice.status.in_({"draft", *rules.PAYABLE})
    for invoice in await Invoice.all_locked(session, Invoice.patient_id == patient_id, still_open):
        invoice.patient_id = to
