"""Two patients who turn out to be one, and who turn out to be two after all."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from services.billing import rules
from services.billing.commands.accounts import account_of
from services.billing.commands.collections import leave_case
from services.billing.errors import PatientCannotMergeIntoThemselves
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

THEIRS = (Credit, CouponRedemption, InsurancePolicy, InsuranceClaim)
"""What goes from patient to patient whatever its state; the audit log stays as it was written."""


async def merge_patient(session: AsyncSession, patient_id: UUID, into_patient_id: UUID, facility_id: UUID) -> None:
    """Gives everything open of one patient to another. Raises PatientCannotMergeIntoThemselves, NotYet."""
    merged = await BillingAccount.opened(session, patient_id, facility_id, alone=True)
    surviving = await account_of(session, into_patient_id)
    if surviving.patient_id == patient_id:
        raise PatientCannotMergeIntoThemselves(patient_id=patient_id)
    merged.merged_into = into_patient_id
    await _hand_over(session, await BillingAccount.identities(session, patient_id), surviving.patient_id)


async def unmerge_patient(session: AsyncSession, patient_id: UUID, facility_id: UUID) -> None:
    """Gives back what was recorded for a patient, or for whom was merged into them, and is still open.

    What was invoiced together with the other's charges stays the other's. Raises NotYet.
    """
    merged = await BillingAccount.opened(session, patient_id, facility_id, alone=True)
    if merged.merged_into is None:
        return
    await account_of(session, merged.merged_into, alone=True)
    merged.merged_into = None
    invoices = await _hand_over(session, await BillingAccount.identities(session, patient_id), patient_id)
    await _part_cases(session, patient_id, invoices)


async def _hand_over(session: AsyncSession, recorded_for: Sequence[UUID], to: UUID) -> Sequence[Invoice]:
    """Makes `to` the patient of what was recorded for others; gives the open invoices of it."""
    not_invoiced = [Charge.recorded_for.in_(recorded_for), Charge.status != "invoiced"]
    await session.execute(update(Charge).where(*not_invoiced).values(patient_id=to))
    for table in THEIRS:
        await session.execute(update(table).where(table.recorded_for.in_(recorded_for)).values(patient_id=to))
    cases = select(CollectionCase).where(CollectionCase.recorded_for.in_(recorded_for)).order_by(CollectionCase.case_id)
    for case in await session.scalars(cases.with_for_update().execution_options(populate_existing=True)):
        case.patient_id = to
    still_open = Invoice.status.in_({"draft", *rules.PAYABLE})
    invoices = await Invoice.all_locked(session, Invoice.recorded_for.in_(recorded_for), still_open)
    for invoice in invoices:
        invoice.patient_id = to
    return invoices


async def _part_cases(session: AsyncSession, patient_id: UUID, invoices: Sequence[Invoice]) -> None:
    """No case is over the debts of two: an invoice leaves the case of whom it is not of any more."""
    own = select(CollectionCase.case_id).where(CollectionCase.patient_id == patient_id)
    own_cases = set(await session.scalars(own))
    of_the_other = [Invoice.collection_case_id.in_(own_cases), Invoice.patient_id != patient_id]
    strangers = await Invoice.all_locked(session, *of_the_other, Invoice.status.in_(rules.PAYABLE))
    for invoice in [*invoices, *strangers]:
        if invoice.collection_case_id is not None and (invoice in strangers or invoice.collection_case_id not in own_cases):
            await leave_case(session, invoice)
