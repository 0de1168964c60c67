"""Who may write, sign and withdraw what, by the roles that they have at a facility now."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from contracts.ehr import NoteKind
from services.ehr.errors import (
    AuthorCannotCosign,
    CosignerMustBeAClinician,
    NursesWriteProgressNotes,
    OnlyAuthorOrClinicianWithdraws,
    OnlyTheAuthorEditsAndSigns,
    UserMayNotWriteHere,
)

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


def check_cosigner(author_id: UUID, cosigner: Writer) -> None:
    """Another clinician, who is no trainee, cosigns. Raises AuthorCannotCosign, CosignerMustBeAClinician.

    Source: 42 CFR 415.172 on teaching physicians.
    """
    if cosigner.user_id == author_id:
        raise AuthorCannotCosign
    if not cosigner.is_clinician:
        raise CosignerMustBeAClinician


def check_withdraws(author_id: UUID, writer: Writer) -> None:
    """The author may, and a clinician who is no trainee. Raises OnlyAuthorOrClinicianWithdraws."""
    if writer.user_id != author_id and not writer.is_clinician:
        raise OnlyAuthorOrClinicianWithdraws
