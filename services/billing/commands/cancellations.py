"""Encounters that did not take place, and what was charged for them all the same."""

from __future__ import annotations

from contextlib import suppress
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from contracts.clinical import EncounterCancelled
from services.billing import rules
from services.billing.commands.accounts import account_of
from services.billing.commands.invoices import void
from services.billing.errors import InvoiceIsClaimed, OnlyAnUnallocatedInvoiceCanBeVoided
from services.billing.tables import Action, BillingAuditEntry, Charge, EncounterBill, Invoice

ITSELF = "billing"
"""Who acts when no user asks."""


async def cancel_encounter(session: AsyncSession, encounter: EncounterCancelled) -> None:
    """Nobody is asked for an encounter that did not take place: its invoice is voided, its charges are held.

    An invoice that was paid, lowered or claimed stays for a person to take back: see `Invoice.of_cancelled`. Raises NotYet.
    """
    await account_of(session, encounter.patient_id)
    bill = await EncounterBill.locked(session, encounter.encounter_id)
    if bill.cancelled_at is not None:
        return
    bill.cancelled_at = encounter.cancelled_at
    await session.flush()
    asked = [Invoice.encounter_id == encounter.encounter_id, Invoice.status.in_(rules.PAYABLE)]
    for invoice in await Invoice.all_locked(session, *asked):
        with suppress(OnlyAnUnallocatedInvoiceCanBeVoided, InvoiceIsClaimed):
            await void(session, invoice, "the encounter did not take place", by=ITSELF)
    for charge in await Charge.open_of_encounter(session, encounter.encounter_id):
        charge.move("held")


async def release_charge(session: AsyncSession, charge_id: UUID, *, by: str) -> Charge:
    """What was done although the encounter did not take place can be invoiced. Raises OnlyAHeldChargeIsDecided, NotFound."""
    return await _decide(session, charge_id, "open", "charge_released", by)


async def withdraw_charge(session: AsyncSession, charge_id: UUID, *, by: str) -> Charge:
    """What was not done after all is asked of nobody. Raises OnlyAHeldChargeIsDecided, NotFound."""
    return await _decide(session, charge_id, "withdrawn", "charge_withdrawn", by)


async def _decide(session: AsyncSession, charge_id: UUID, to: rules.ChargeStatus, action: Action, by: str) -> Charge:
    charge = await Charge.locked(session, charge_id)
    rules.check_held(charge.status)
    charge.move(to)
    session.add(BillingAuditEntry.of(action, by, charge.price, charge.facility_id, charge.patient_id))
    return charge
