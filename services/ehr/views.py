"""What the health record's HTTP API takes and shows."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field, StringConstraints

from broker import Asked, Shown
from contracts.clinical import EncounterClass, EncounterStatus
from contracts.ehr import NoteKind
from contracts.lab import Flag, ResultStatus
from services.ehr.commands import Attachment
from services.ehr.rules import DiagnosisStatus, MediaType, NoteStatus, ProblemStatus, Progress, Soap

Line = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
Prose = Annotated[str, StringConstraints(max_length=50_000)]
Written = Annotated[str, StringConstraints(min_length=1, max_length=50_000)]
Diagnosis = Annotated[str, StringConstraints(pattern=r"^[A-Z][0-9][0-9A-Z](\.[0-9A-Z]{1,4})?$")]
"""ICD-10-CM."""


class AskedSoap(Asked):
    """A SOAP note: what the patient says, what is found, what it is taken for, what is to be done."""

    kind: Literal["soap"]
    subjective: Prose
    objective: Prose
    assessment: Prose
    plan: Prose

    def given(self) -> Soap:
        """For the command."""
        return Soap(subjective=self.subjective, objective=self.objective, assessment=self.assessment, plan=self.plan)


class AskedProgress(Asked):
    """A progress note."""

    kind: Literal["progress"]
    text: Written

    def given(self) -> Progress:
        """For the command."""
        return Progress(text=self.text)


AskedContent = Annotated[AskedSoap | AskedProgress, Field(discriminator="kind")]


class AskedNote(Asked):
    """A note on a patient, in an encounter."""

    patient_id: UUID
    encounter_id: UUID
    content: AskedContent


class AskedAddendum(Asked):
    """What is to be added to a signed note."""

    text: Written


class Reason(Asked):
    """Why."""

    reason: Line


class AskedProblem(Asked):
    """A problem of a patient, by its ICD-10-CM code."""

    patient_id: UUID
    code: Diagnosis
    description: Line | None = None


class AskedVersion(Asked):
    """What a document says; JSON as its text."""

    media_type: MediaType
    content: Annotated[str, StringConstraints(min_length=1)]

    def attachment(self) -> Attachment:
        """For the command."""
        return Attachment(media_type=self.media_type, content=self.content)


class AskedDocument(AskedVersion):
    """A document for a patient's record."""

    patient_id: UUID
    encounter_id: UUID | None = None
    title: Line


class AddendumView(Shown):
    """What was added to a note after it was signed."""

    addendum_id: UUID
    number: int
    author_id: UUID
    text: str
    written_at: datetime
    content_hash: str


class CosignatureView(Shown):
    """The second signature."""

    cosigner_id: UUID
    cosigned_at: datetime


class NoteView(Shown):
    """A note, with all that was signed beside it. `content` is by its parts; `content_hash` is SHA-256, in hexadecimal."""

    note_id: UUID
    kind: NoteKind
    patient_id: UUID
    facility_id: UUID
    encounter_id: UUID
    author_id: UUID
    status: NoteStatus
    content: dict[str, str]
    drafted_at: datetime
    signed_at: datetime | None
    content_hash: str | None
    cosign_due_at: datetime | None
    overdue_at: datetime | None
    cosignature: CosignatureView | None
    addenda: list[AddendumView]
    marked_at: datetime | None
    reason: str | None


class IntegrityView(Shown):
    """Whether a note still says what was signed; `altered` names the parts that do not."""

    note_id: UUID
    intact: bool
    altered: list[str]


class ProblemView(Shown):
    """A problem; whoever added or resolved it is null where a diagnosis did."""

    problem_id: UUID
    patient_id: UUID
    code: str
    description: str | None
    status: ProblemStatus
    added_at: datetime
    added_by: UUID | None
    resolved_at: datetime | None
    resolved_by: UUID | None


class DiagnosisView(Shown):
    """A diagnosis, and the problem that it stands for on the list."""

    diagnosis_id: UUID
    encounter_id: UUID | None
    code: str
    status: DiagnosisStatus
    recorded_at: datetime
    problem_id: UUID | None


class EncounterView(Shown):
    """When a patient was here."""

    id: UUID = Field(serialization_alias="encounter_id")
    facility_id: UUID
    encounter_class: EncounterClass
    status: EncounterStatus
    started_at: datetime | None
    discharged_at: datetime | None


class DocumentView(Shown):
    """A document; `version` is its newest."""

    document_id: UUID
    patient_id: UUID
    encounter_id: UUID | None
    title: str
    version: int
    attached_at: datetime


class VersionView(Shown):
    """What a document says, or said. `size` in bytes; `content_hash` is SHA-256 of the content, in hexadecimal."""

    document_id: UUID
    version: int
    media_type: MediaType
    size: int
    content_hash: str
    content: str
    attached_by: UUID
    attached_at: datetime


class EntryView(Shown):
    """What a result says now."""

    value: Decimal | None
    text_value: str | None
    unit: str
    reference_low: Decimal | None
    reference_high: Decimal | None
    flag: Flag | None
    is_critical: bool
    status: ResultStatus
    resulted_at: datetime
    reason: str | None


class PredecessorView(Shown):
    """What a result said before; flag and time are null while only its correction tells of it."""

    value: Decimal | None
    text_value: str | None
    flag: Flag | None
    resulted_at: datetime | None


class ResultView(Shown):
    """A result of the lab, together with what it said before it was corrected, the oldest first."""

    result_id: UUID
    order_id: UUID
    encounter_id: UUID | None
    test_code: str
    test_name: str
    current: EntryView
    predecessors: list[PredecessorView]


class RetentionView(Shown):
    """Why what an erased user wrote stays; `entries` at the facilities that may be seen."""

    user_id: UUID
    entries: int
    reason: str
    erased_at: datetime
