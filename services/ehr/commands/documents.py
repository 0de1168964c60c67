"""What the health record can be asked to do with documents: attach one, or a new version of it."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from broker import clock, publish
from contracts.ehr import EhrDocumentAttached
from services.ehr import rules
from services.ehr.replicas import EncounterReference, PatientReference, UserReference
from services.ehr.rules import MediaType
from services.ehr.tables import Document, DocumentVersion


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """What a document says, and as what it is to be read."""

    media_type: MediaType
    content: str


async def attach_document(
    session: AsyncSession,
    *,
    patient_id: UUID,
    title: str,
    attachment: Attachment,
    attached_by: UUID,
    encounter_id: UUID | None = None,
    document_id: UUID | None = None,
) -> Document:
    """Puts a document into a patient's record, with its first version.

    Raises NotYet, UserMayNotWriteHere, DocumentIsTooLarge, ContentIsNotOfItsMediaType, and what `rules.check_encounter` raises.
    """
    patient = await PatientReference.current(session, patient_id)
    if encounter_id is not None:
        await _check_encounter(session, encounter_id, patient)
    rules.check_writes(await UserReference.writer(session, attached_by, patient.facility_id))
    document = Document(
        document_id=document_id or uuid4(),
        patient_id=patient.id,
        recorded_for=patient_id,
        facility_id=patient.facility_id,
        encounter_id=encounter_id,
        title=title,
        version=1,
        attached_at=clock.now(),
    )
    session.add(document)
    await session.flush()
    _add_version(session, document, attachment, attached_by)
    return document


async def add_version(session: AsyncSession, document_id: UUID, *, attachment: Attachment, attached_by: UUID) -> Document:
    """Replaces what a document says; every version before stays as it was.

    Raises NotFound, UserMayNotWriteHere, DocumentIsTooLarge, ContentIsNotOfItsMediaType, VersionSaysNothingNew.
    """
    document = await Document.locked(session, document_id)
    document.patient_id = (await PatientReference.current(session, document.recorded_for)).id
    rules.check_writes(await UserReference.writer(session, attached_by, document.facility_id))
    before = await DocumentVersion.seen(session, (document_id, document.version))
    document.version, document.attached_at = document.version + 1, clock.now()
    after = _add_version(session, document, attachment, attached_by)
    rules.check_new_version(before.content_hash, after.content_hash)
    return document


async def _check_encounter(session: AsyncSession, encounter_id: UUID, patient: PatientReference) -> None:
    encounter = await EncounterReference.require(session, encounter_id)
    of_patient = (await PatientReference.current(session, encounter.patient_id)).id
    rules.check_encounter(encounter, of_patient=of_patient, patient_id=patient.id, facility_id=patient.facility_id)


def _add_version(session: AsyncSession, document: Document, attachment: Attachment, attached_by: UUID) -> DocumentVersion:
    content = rules.check_document(attachment.content, attachment.media_type)
    version = DocumentVersion(
        document_id=document.document_id,
        version=document.version,
        media_type=attachment.media_type,
        size=len(content),
        content_hash=sha256(content).hexdigest(),
        content=attachment.content,
        attached_by=attached_by,
        attached_at=document.attached_at,
    )
    session.add(version)
    publish(session, EhrDocumentAttached.of(document))
    return version
