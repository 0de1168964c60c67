"""Patients' accounts."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.billing.replicas import PatientReference
from services.billing.tables import BillingAccount


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
