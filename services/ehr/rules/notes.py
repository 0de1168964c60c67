"""What becomes of a note, and what it is about."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar, Literal, Protocol
from uuid import UUID

from broker import LifeCycle
from contracts.clinical import EncounterStatus
from contracts.ehr import NoteKind
from services.ehr.errors import (
    AddendumFollowsSigning,
    EncounterDoesNotTakePlace,
    EncounterIsAtAnotherFacility,
    EncounterIsOfAnotherPatient,
    NoteCannotBecome,
    NoteKeepsItsKind,
    OnlyADraftIsEdited,
    OnlyASignedNoteIsVerified,
    TraineesWriteNoAddenda,
)
from services.ehr.rules.writers import Writer

NoteStatus = Literal["draft", "cosign_required", "signed", "amended", "entered_in_error"]
"""As HL7's document completion (v2 table 0271) and FHIR R4 composition-status have it."""

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

COSIGN_WITHIN = timedelta(hours=24)
"""How long a trainee's note may wait for its second signature."""

RETAINED_BECAUSE = "a medical record is kept for health care, and because the law says so: GDPR Article 17(3)(b) and (c)"
"""Why what an erased user wrote stays, under the user's bare id."""


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


def check_addendum(status: NoteStatus, writer: Writer) -> None:
    """Who signs alone adds to what is signed. Raises AddendumFollowsSigning, TraineesWriteNoAddenda.

    Source: AHIMA, Amendments in the Electronic Health Record.
    """
    if not NOTE.allows(status, "amended"):
        raise AddendumFollowsSigning(state=status)
    if writer.is_trainee:
        raise TraineesWriteNoAddenda


def check_signed(signed_at: datetime | None) -> datetime:
    """When a note was signed: there is something to verify. Raises OnlyASignedNoteIsVerified."""
    if signed_at is None:
        raise OnlyASignedNoteIsVerified
    return signed_at
