"""Invoices: issuing, importing, voiding."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from broker import clock, publish, unschedule
from contracts.billing import InvoiceIssued, InvoicePaid, InvoiceVoided
from contracts.money import Money
from services.billing import rules
from services.billing.commands.accounts import account_of, working_on
from services.billing.commands.collections import due_name, expect_payment, settle_case
from services.billing.commands.days import day_at
from services.billing.errors import InvoiceIsClaimed, ReferenceBelongsToAnotherInvoice, ThereIsNothingToInvoice
from services.billing.replicas import FacilityReference
from services.billing.tables import BillingAuditEntry, Charge, EncounterBill, InsuranceClaim, Invoice, InvoiceNumber


async def issue_invoice(
    session: AsyncSession, *, patient_id: UUID, facility_id: UUID, encounter_id: UUID | None = None
) -> Invoice:
    """Issues the invoice of a patient's open charges of one encounter, or of those without one.

    Raises ThereIsNothingToInvoice, FacilityIsNotActive, NotYet.
    """
    await check_facility(session, facility_id)
    account = await account_of(session, patient_id)
    if encounter_id is not None:
        await EncounterBill.locked(session, encounter_id)
    invoice = await invoice_what_is_open(session, account.patient_id, facility_id, encounter_id)
    if invoice is None:
        raise ThereIsNothingToInvoice(facility_id=facility_id)
    return invoice


async def invoice_if_active(session: AsyncSession, patient_id: UUID, facility_id: UUID, encounter_id: UUID) -> None:
    """Invoices an encounter that is over; at a facility that is not active, its charges stay open until it is again."""
    facility = await FacilityReference.require(session, facility_id)
    if facility.status != "active":
        # Held: its next state comes only after what is left open here, and so finds it.
        facility = await FacilityReference.held(session, facility_id)
    if facility.status == "active":
        await invoice_what_is_open(session, patient_id, facility_id, encounter_id)


async def invoice_what_is_open(
    session: AsyncSession, patient_id: UUID, facility_id: UUID, encounter_id: UUID | None
) -> Invoice | None:
    """Issues the invoice of a patient's open charges, after merges; None when there is nothing to invoice."""
    charges = await Charge.open_ones(session, patient_id, facility_id, encounter_id)
    if not charges:
        return None
    total = Money.total(charge.price for charge in charges)
    invoice = Invoice.draft(patient_id, facility_id, encounter_id, total, recorded_for=_recorded_for(charges, patient_id))
    for charge in charges:
        invoice.add_line(charge.code, charge.description, charge.price, charge_id=charge.charge_id)
        charge.move("invoiced")
    return await _issue(session, invoice)


async def import_invoice(session: AsyncSession, imported: rules.ImportedInvoice) -> Invoice:
    """Issues an invoice that another system calculated; the same one again gives the invoice there is.

    Raises InvoiceNeedsAtLeastOneLine, ReferenceBelongsToAnotherInvoice, FacilityIsNotActive, NotYet.
    """
    total = imported.total()
    await check_facility(session, imported.facility_id)
    account = await account_of(session, imported.patient_id)
    named = [Invoice.facility_id == imported.facility_id, Invoice.external_reference == imported.external_reference]
    known = await session.scalar(select(Invoice).where(*named))
    if known is not None:
        if (known.total, len(known.lines)) != (total, len(imported.lines)):
            raise ReferenceBelongsToAnotherInvoice(invoice_id=known.invoice_id)
        return known
    of_patient = {"patient_id": account.patient_id, "recorded_for": imported.patient_id}
    invoice = Invoice.draft(facility_id=imported.facility_id, encounter_id=imported.encounter_id, total=total, **of_patient)
    invoice.external_reference = imported.external_reference
    invoice.due_on, invoice.issued_at = imported.due_on, imported.issued_at
    for line in imported.lines:
        invoice.add_line(line.code, line.description, line.amount, quantity=line.quantity, priority=line.priority)
    return await _issue(session, invoice)


async def void_invoice(session: AsyncSession, invoice_id: UUID, reason: str, *, by: str) -> Invoice:
    """Takes back an invoice on which nothing was paid and that no payer was asked for; its charges can be invoiced again.

    Raises OnlyAnUnallocatedInvoiceCanBeVoided, InvoiceIsClaimed, InvoiceCannotBecome, InvoiceNotFound.
    """
    return await void(session, await working_on(session, invoice_id), reason, by=by)


async def void(session: AsyncSession, invoice: Invoice, reason: str, *, by: str) -> Invoice:
    """The same, of an invoice that is locked; charges of an encounter that did not take place are held."""
    rules.check_voidable(invoice.allocated, invoice.adjusted)
    if await InsuranceClaim.of_invoice(session, invoice.invoice_id):
        raise InvoiceIsClaimed
    invoice.move("void")
    invoice.void_reason = reason
    cancelled = await EncounterBill.is_cancelled(session, invoice.encounter_id)
    for charge in await _charges_of(session, invoice):
        charge.move("held" if cancelled else "open")
        charge.patient_id = invoice.patient_id
    await unschedule(session, due_name(invoice.invoice_id))
    await settle_case(session, invoice)
    session.add(BillingAuditEntry.about(invoice, "invoice_voided", by, invoice.total))
    publish(session, InvoiceVoided.of(invoice, reason=reason))
    return invoice


async def check_facility(session: AsyncSession, facility_id: UUID) -> None:
    """Raises FacilityIsNotActive, and NotYet for one not heard of."""
    rules.check_facility((await FacilityReference.require(session, facility_id)).status)


async def _issue(session: AsyncSession, invoice: Invoice) -> Invoice:
    now = clock.now()
    invoice.move("issued")
    invoice.issued_at = invoice.issued_at or now
    invoice.due_on = invoice.due_on or rules.due_after(await day_at(session, invoice.facility_id, now))
    invoice.number = rules.invoice_number(await InvoiceNumber.draw(session, invoice.facility_id))
    session.add(invoice)
    publish(session, InvoiceIssued.of(invoice))
    if invoice.balance:
        await expect_payment(session, invoice)
    else:
        invoice.move("paid")
        invoice.paid_at = now
        publish(session, InvoicePaid.of(invoice, amount=invoice.total))
    return invoice


def _recorded_for(charges: Sequence[Charge], patient_id: UUID) -> UUID:
    """Whom all of the charges were recorded for; the account's own patient, when they were for several."""
    theirs = {charge.recorded_for for charge in charges}
    return theirs.pop() if len(theirs) == 1 else patient_id


async def _charges_of(session: AsyncSession, invoice: Invoice) -> Sequence[Charge]:
    ids = [line.charge_id for line in invoice.lines if line.charge_id]
    return (await session.scalars(select(Charge).where(Charge.charge_id.in_(ids)).with_for_update())).all()
