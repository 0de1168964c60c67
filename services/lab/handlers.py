"""How the lab reacts to what other services say."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncSession

from broker import on
from contracts.clinical import EncounterCancelled, PatientDeceased, PatientMerged, PatientUnmerged
from contracts.lab import LabResultCriticalDue
from services.lab import commands


@on(PatientMerged, PatientUnmerged)
async def repoint_orders_of_merged_patient(event: PatientMerged | PatientUnmerged, session: AsyncSession) -> None:
    """What is to come of a merged patient's orders belongs to the one that lives on, until the merge is taken back."""
    if isinstance(event, PatientMerged):
        await commands.repoint_orders(session, event.patient_id, into_patient_id=event.into_patient_id)
    else:
        await commands.give_orders_back(session, event.patient_id)


@on(EncounterCancelled)
async def cancel_orders_of_cancelled_encounter(event: EncounterCancelled, session: AsyncSession) -> None:
    """Nobody will take the samples."""
    await commands.cancel_orders_of_encounter(session, event.encounter_id, reason="encounter cancelled")


@on(PatientDeceased)
async def cancel_orders_of_deceased_patient(event: PatientDeceased, session: AsyncSession) -> None:
    """Nobody will take the samples; what was taken before is still measured."""
    await commands.cancel_orders_without_sample(session, event.patient_id, reason="patient deceased")


@on(LabResultCriticalDue)
async def escalate_a_result_that_nobody_called(event: LabResultCriticalDue, session: AsyncSession) -> None:
    """A critical result of which nobody was told in time goes to whoever stands above."""
    await commands.escalate_critical_result(session, event.result_id)
