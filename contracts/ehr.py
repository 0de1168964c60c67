"""What the electronic health record publishes: notes that are signed, problems, documents."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from contracts.event import Event, Personal

NoteKind = Literal["soap", "progress"]


class NoteSigned(Event, name="note.signed", version=1, key="note_id"):
    """Its author signed a note: what it says no longer changes. `content_hash` is SHA-256, in hexadecimal."""

    note_id: UUID
    kind: NoteKind
    patient_id: UUID
    facility_id: UUID
    encounter_id: UUID
    author_id: UUID
    content_hash: str
    signed_at: datetime


class NoteAmended(Event, name="note.amended", version=1, key="note_id"):
    """A signed note got an addendum; what it said before stays."""

    note_id: UUID
    addendum_id: UUID
    kind: NoteKind
    patient_id: UUID
    facility_id: UUID
    encounter_id: UUID
    author_id: UUID
    content_hash: str
    amended_at: datetime


class NoteCosignRequested(Event, name="note.cosign_requested", version=1, key="note_id"):
    """A trainee signed: somebody who may has to sign as well, before `due_at`."""

    note_id: UUID
    kind: NoteKind
    patient_id: UUID
    facility_id: UUID
    encounter_id: UUID
    author_id: UUID
    due_at: datetime


class NoteCosigned(Event, name="note.cosigned", version=1, key="note_id"):
    """A trainee's note carries its second signature."""

    note_id: UUID
    kind: NoteKind
    patient_id: UUID
    facility_id: UUID
    encounter_id: UUID
    author_id: UUID
    cosigner_id: UUID
    cosigned_at: datetime


class NoteCosignDue(Event, name="note.cosign_due", version=1, key="note_id"):
    """The time for the second signature passed; the record tells itself, to look whether it is there."""

    note_id: UUID


class NoteCosignOverdue(Event, name="note.cosign_overdue", version=1, key="note_id"):
    """A trainee's note has waited for its second signature for too long."""

    note_id: UUID
    patient_id: UUID
    facility_id: UUID
    author_id: UUID
    due_at: datetime


class NoteEnteredInError(Event, name="note.entered_in_error", version=1, key="note_id"):
    """A note never should have been; it stays to be seen."""

    note_id: UUID
    patient_id: UUID
    facility_id: UUID
    encounter_id: UUID
    marked_at: datetime


class ProblemAdded(Event, name="problem.added", version=1, key="problem_id"):
    """Something a patient has, or may have, is on their list of problems."""

    problem_id: UUID
    patient_id: UUID
    facility_id: UUID
    code: Annotated[str, Personal(of="patient_id")]
    """ICD-10-CM."""
    added_at: datetime


class ProblemResolved(Event, name="problem.resolved", version=1, key="problem_id"):
    """A patient no longer has a problem."""

    problem_id: UUID
    patient_id: UUID
    facility_id: UUID
    resolved_at: datetime


class EhrDocumentAttached(Event, name="ehr.document.attached", version=1, key="document_id"):
    """A document, or a new version of it, is in a patient's record."""

    document_id: UUID
    version: int
    patient_id: UUID
    facility_id: UUID
    encounter_id: UUID | None
    attached_at: datetime
