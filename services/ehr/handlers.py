"""How the health record reacts to what other services say, and to time."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncSession

from broker import Envelope, on
from contracts.auth import UserErased
from contracts.clinical import DiagnosisRecorded, PatientMerged, PatientUnmerged
from contracts.ehr import NoteCosignDue
from contracts.lab import LabResultAvailable, LabResultCorrected
from services.ehr import commands


@on(LabResultAvailable, LabResultCorrected)
async def show_result_in_record(
    said: LabResultAvailable | LabResultCorrected, envelope: Envelope, session: AsyncSession
) -> None:
    """A corrected result is shown together with what it said before."""
    await commands.enter_result(session, said, source_event_id=envelope.id)


@on(DiagnosisRecorded)
async def keep_problems_by_diagnosis(event: DiagnosisRecorded, session: AsyncSession) -> None:
    """A confirmed diagnosis is a problem on the list, once; resolved or refuted, it no longer is."""
    await commands.take_diagnosis(session, event)


@on(PatientMerged, PatientUnmerged)
async def repoint_record_of_merged_patient(event: PatientMerged | PatientUnmerged, session: AsyncSession) -> None:
    """The record of a merged patient belongs to the one that lives on, until the merge is taken back; heard in their order."""
    if isinstance(event, PatientMerged):
        await commands.repoint_record(session, event.patient_id, into_patient_id=event.into_patient_id)
    else:
        await commands.give_record_back(session, event.patient_id)


@on(UserErased)
async def retain_what_an_erased_user_wrote(event: UserErased, session: AsyncSession) -> None:
    """The clinical record stays, with the reason; of its author nothing but an id was ever here."""
    await commands.retain_what_was_written(session, event)


@on(NoteCosignDue)
async def report_missing_cosignature(event: NoteCosignDue, session: AsyncSession) -> None:
    """A trainee's note that nobody cosigned in time is reported."""
    await commands.report_missing_cosignature(session, event.note_id)
