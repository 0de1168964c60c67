"""What the health record decides without asking anybody: who writes and signs what, and what belongs to what."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import ClassVar, Literal, Protocol
from uuid import UUID

from broker import LifeCycle
from contracts.clinical import EncounterStatus
from contracts.ehr import NoteKind
from contracts.lab import Flag, ResultStatus
from services.ehr.errors import (
    AddendumFollowsSigning,
    AuthorCannotCosign,
    ContentIsNotOfItsMediaType,
    CosignerMustBeAClinician,
    DocumentIsTooLarge,
    EncounterDoesNotTakePlace,
    EncounterIsAtAnotherFacility,
    EncounterIsOfAnotherPatient,
    NoteCannotBecome,
    NoteKeepsItsKind,
    NursesWriteProgressNotes,
    OnlyADraftIsEdited,
    OnlyASignedNoteIsVerified,
    OnlyAuthorOrClinicianWithdraws,
    OnlyTheAuthorEditsAndSigns,
    ProblemCannotBecome,
    TraineesWriteNoAddenda,
    UserMayNotWriteHere,
    VersionSaysNothingNew,
)

NoteStatus = Literal["draft", "cosign_required", "signed", "amended", "entered_in_error"]
"""As HL7's document completion (v2 table 0271) and FHIR R4 composition-status have it."""

ProblemStatus = Literal["active", "resolved"]
"""FHIR R4 condition-clinical, as far as it is used here."""

DiagnosisStatus = Literal["provisional", "confirmed", "resolved", "refuted"]
MediaType = Literal["text/plain", "text/markdown", "application/json", "application/fhir+json"]

NOTE = LifeCycle[NoteStatus](
    {
        "draft": {"signed", "cosign_required", "entered_in_error"},
        "cosign_required": {"signed", "entered_in_error"},
        "signed": {"amended", "entered_in_error"},
        "amended": {"amended", "entered_in_error"},
        "entered_in_error": set(),
    },
    refused=NoteCannotBecome,
)

PROBLEM = LifeCycle[ProblemStatus]({"active": {"resolved"}, "resolved": set()}, refused=ProblemCannotBecome)

COSIGN_WITHIN = timedelta(hours=24)
"""How long a trainee's note may wait for its second signature."""

LARGEST_DOCUMENT = 256 * 1024
"""Bytes of a document's content, at most."""

RETAINED_BECAUSE = "medical record kept for health care and by law: GDPR Article 17(3)(b) and (c), 45 CFR 164.316(b)(2)"
"""Why what an erased user wrote stays, under the user's bare id."""

AUTHORS: frozenset[str] = frozenset({"clinician", "trainee", "nurse"})
"""The roles that write in patients' records."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Writer:
    """Somebody at a facility: the roles that they have there now."""

    user_id: UUID
    active: bool
    roles: frozenset[str]

    @property
    def is_trainee(self) -> bool:
        """Whether somebody has to sign with them, whatever other role they have."""
        return "trainee" in self.roles

    @property
    def is_clinician(self) -> bool:
        """Whether they may sign for others too."""
        return self.active and "clinician" in self.roles and not self.is_trainee


@dataclass(frozen=True, slots=True, kw_only=True)
class Soap:
    """The four parts of a problem-oriented note (Weed, 1968)."""

    subjective: str
    objective: str
    assessment: str
    plan: str

    kind: ClassVar[Literal["soap"]] = "soap"


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How a patient is doing."""

    text: str

    kind: ClassVar[Literal["progress"]] = "progress"


Content = Soap | Progress


def check_writes(writer: Writer, kind: NoteKind | None = None) -> None:
    """Whether they write in records here, and notes of this kind. Raises UserMayNotWriteHere, NursesWriteProgressNotes."""
    if not writer.active or not writer.roles & AUTHORS:
        raise UserMayNotWriteHere
    if kind == "soap" and not writer.roles & {"clinician", "trainee"}:
        raise NursesWriteProgressNotes


def check_author(author_id: UUID, writer: Writer) -> None:
    """Only its author edits and signs a note. Raises OnlyTheAuthorEditsAndSigns."""
    if writer.user_id != author_id:
        raise OnlyTheAuthorEditsAndSigns


def check_editable(status: NoteStatus, kind: NoteKind, content: Content) -> None:
    """A draft is edited, within its kind. Raises OnlyADraftIsEdited, NoteKeepsItsKind."""
    if status != "draft":
        raise OnlyADraftIsEdited(state=status)
    if content.kind != kind:
        raise NoteKeepsItsKind


class Place(Protocol):
    """What is looked at of an encounter."""

    @property
    def facility_id(self) -> UUID: ...
    @property
    def status(self) -> EncounterStatus: ...


def check_encounter(encounter: Place, *, of_patient: UUID, patient_id: UUID, facility_id: UUID) -> None:
    """Whether a patient of a facility can be written about with this encounter, which is `of_patient`.

    Raises EncounterIsOfAnotherPatient, EncounterIsAtAnotherFacility, EncounterDoesNotTakePlace.
    """
    if of_patient != patient_id:
        raise EncounterIsOfAnotherPatient
    if encounter.facility_id != facility_id:
        raise EncounterIsAtAnotherFacility
    check_takes_place(encounter.status)


def check_takes_place(status: EncounterStatus) -> None:
    """Whether there is anything to write about. Raises EncounterDoesNotTakePlace."""
    if status in ("cancelled", "entered_in_error"):
        raise EncounterDoesNotTakePlace(state=status)


def status_when_signed(author: Writer) -> NoteStatus:
    """A trainee's signature is not enough."""
    return "cosign_required" if author.is_trainee else "signed"


def check_cosigner(author_id: UUID, cosigner: Writer) -> None:
    """Another clinician, who is no trainee, cosigns. Raises AuthorCannotCosign, CosignerMustBeAClinician.

    Source: 42 CFR 415.172 on teaching physicians.
    """
    if cosigner.user_id == author_id:
        raise AuthorCannotCosign
    if not cosigner.is_clinician:
        raise CosignerMustBeAClinician


def check_addendum(status: NoteStatus, writer: Writer) -> None:
    """Who signs alone adds to what is signed. Raises AddendumFollowsSigning, TraineesWriteNoAddenda.

    Source: AHIMA, Amendments in the Electronic Health Record.
    """
    if not NOTE.allows(status, "amended"):
        raise AddendumFollowsSigning(state=status)
    if writer.is_trainee:
        raise TraineesWriteNoAddenda


def check_withdraws(author_id: UUID, writer: Writer) -> None:
    """The author may, and a clinician who is no trainee. Raises OnlyAuthorOrClinicianWithdraws."""
    if writer.user_id != author_id and not writer.is_clinician:
        raise OnlyAuthorOrClinicianWithdraws


def check_signed(signed_at: datetime | None) -> datetime:
    """When a note was signed: there is something to verify. Raises OnlyASignedNoteIsVerified."""
    if signed_at is None:
        raise OnlyASignedNoteIsVerified
    return signed_at


def puts_problem_on_list(status: DiagnosisStatus) -> bool:
    """Only a confirmed diagnosis is a problem."""
    return status == "confirmed"


def ends_problem(status: DiagnosisStatus, others: Iterable[DiagnosisStatus]) -> bool:
    """A diagnosis that is over takes its problem with it, unless another one still says the same."""
    return status in ("resolved", "refuted") and "confirmed" not in set(others)


class Entry(Protocol):
    """What the lab said of a result, once; a correction says what was there before."""

    @property
    def value(self) -> Decimal | None: ...
    @property
    def text_value(self) -> str | None: ...
    @property
    def flag(self) -> Flag | None: ...
    @property
    def status(self) -> ResultStatus: ...
    @property
    def resulted_at(self) -> datetime: ...
    @property
    def previous_value(self) -> Decimal | None: ...
    @property
    def previous_text_value(self) -> str | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a result said before it was corrected; flag and time are None while only the correction tells of it."""

    value: Decimal | None
    text_value: str | None
    flag: Flag | None
    resulted_at: datetime | None


def predecessors(entries: Sequence[Entry]) -> list[Said]:
    """What a result said before its last entry, the oldest first: no correction stands without what it corrects.

    Where that has not arrived (yet), the correction itself tells the value. Source: CAP GEN.41307, corrected reports.
    """
    found: list[Said] = []
    for entry in entries:
        if entry.status == "corrected" and not (found and _corrects(entry, found[-1])):
            found.append(_told_by(entry))
        found.append(Said(value=entry.value, text_value=entry.text_value, flag=entry.flag, resulted_at=entry.resulted_at))
    return found[:-1]


def _corrects(entry: Entry, before: Said) -> bool:
    return (entry.previous_value, entry.previous_text_value) == (before.value, before.text_value)


def _told_by(entry: Entry) -> Said:
    return Said(value=entry.previous_value, text_value=entry.previous_text_value, flag=None, resulted_at=None)


def check_document(content: str, media_type: MediaType) -> bytes:
    """The content as it is kept and hashed. Raises DocumentIsTooLarge, ContentIsNotOfItsMediaType."""
    encoded = content.encode()
    if len(encoded) > LARGEST_DOCUMENT:
        raise DocumentIsTooLarge(largest=LARGEST_DOCUMENT)
    if media_type.endswith("json") and not _is_json(content):
        raise ContentIsNotOfItsMediaType
    return encoded


def check_new_version(before: str, after: str) -> None:
    """Whether two hashes differ. Raises VersionSaysNothingNew."""
    if before == after:
        raise VersionSaysNothingNew


def _is_json(content: str) -> bool:
    try:
        json.loads(content)
    except (ValueError, RecursionError):
        return False
    return True
