"""Patients' accounts, and the order in which all of billing locks what is theirs.

    prices → receipt → accounts → encounter → credits → invoices → charges, claims → case of collections

A merge locks the account alone and then touches everything after it. So whoever changes two things of a patient, one after
the other, first holds the account: then merges wait for them or they for the merge, and never both for each other.
"""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from services.billing.errors import InvoiceNotFound
from services.billing.replicas import PatientReference
from services.billing.tables import BillingAccount, Invoice


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


async def working_on(session: AsyncSession, invoice_id: UUID, *, alone: bool = False) -> Invoice:
    """An invoice, for this transaction alone, with its patient's account held before it; `alone` as for `account_of`.

    Raises InvoiceNotFound.
    """
    await account_of(session, await recorded_for(session, invoice_id), alone=alone)
    return await Invoice.locked(session, invoice_id)


async def recorded_for(session: AsyncSession, invoice_id: UUID) -> UUID:
    """Whose an invoice is without any merge, which never changes. Raises InvoiceNotFound."""
    patient_id = await session.scalar(select(Invoice.recorded_for).where(Invoice.invoice_id == invoice_id))
    if patient_id is None:
        raise InvoiceNotFound(invoice_id=invoice_id)
    return patient_id
