"""Documents over HTTP."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Path
from sqlalchemy import select

from broker import Idempotent, Page, PageRequest, Reading, Router, Transaction, visible
from services.ehr import commands
from services.ehr.api.seen import Author, Reader, of_patient, user
from services.ehr.replicas import PatientReference
from services.ehr.tables import Document, DocumentVersion
from services.ehr.views import AskedDocument, AskedVersion, DocumentView, VersionView

router = Router(tags=["documents"])

Number = Annotated[int, Path(ge=1, lt=2**31)]


@router.post("/documents", status_code=201)
async def attach_document(asked: AskedDocument, session: Transaction, who: Author, key: Idempotent) -> DocumentView:
    """Puts a document of at most 256 KiB into a patient's record."""
    who.at((await PatientReference.current(session, asked.patient_id)).facility_id)
    document = await commands.attach_document(
        session,
        patient_id=asked.patient_id,
        encounter_id=asked.encounter_id,
        title=asked.title,
        attachment=asked.attachment(),
        attached_by=user(who),
    )
    return DocumentView.model_validate(document)


@router.post("/documents/{document_id}/versions", status_code=201)
async def add_version(
    document_id: UUID, asked: AskedVersion, session: Transaction, who: Author, key: Idempotent
) -> DocumentView:
    """Replaces what a document says; every version before stays as it was."""
    await visible(session, who, Document, document_id)
    document = await commands.add_version(session, document_id, attachment=asked.attachment(), attached_by=user(who))
    return DocumentView.model_validate(document)


@router.get("/documents/{document_id}")
async def get_document(document_id: UUID, session: Reading, who: Reader) -> DocumentView:
    """A document, without what it says."""
    return DocumentView.model_validate(await visible(session, who, Document, document_id))


@router.get("/documents/{document_id}/versions/{version}")
async def get_version(document_id: UUID, version: Number, session: Reading, who: Reader) -> VersionView:
    """What a document says, or said."""
    await visible(session, who, Document, document_id)
    return VersionView.model_validate(await DocumentVersion.seen(session, (document_id, version)))


@router.get("/patients/{patient_id}/documents")
async def list_documents(patient_id: UUID, session: Reading, who: Reader, page: PageRequest) -> Page[DocumentView]:
    """A patient's documents, the last changed first."""
    query = select(Document).where(await of_patient(session, who, patient_id, Document))
    by = [Document.attached_at.desc(), Document.document_id.desc()]
    return await page.read(session, query, by=by, view=DocumentView.model_validate)
