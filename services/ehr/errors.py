"""The rules of the electronic health record that can be broken, each named as a sentence.

RuleBroken
├── NoteCannotBecome
├── ProblemCannotBecome
├── OnlyUsersWrite
├── UserMayNotWriteHere
├── NursesWriteProgressNotes
├── OnlyTheAuthorEditsAndSigns
├── OnlyADraftIsEdited
├── NoteKeepsItsKind
├── EncounterIsOfAnotherPatient
├── EncounterIsAtAnotherFacility
├── EncounterDoesNotTakePlace
├── AuthorCannotCosign
├── CosignerMustBeAClinician
├── AddendumFollowsSigning
├── TraineesWriteNoAddenda
├── OnlyAuthorOrClinicianWithdraws
├── OnlyASignedNoteIsVerified
├── ProblemIsOnTheListAlready
├── DocumentIsTooLarge
├── ContentIsNotOfItsMediaType
└── VersionSaysNothingNew
"""

from __future__ import annotations

from broker import RuleBroken


class NoteCannotBecome(RuleBroken):
    """A note in this state cannot become what is asked."""


class ProblemCannotBecome(RuleBroken):
    """A problem in this state cannot become what is asked."""


class OnlyUsersWrite(RuleBroken):
    """Only a person with an account writes in a patient's record; a program does not."""

    status = 403


class UserMayNotWriteHere(RuleBroken):
    """Whoever writes needs an active account, and a role at this facility that writes in patients' records."""

    status = 403


class NursesWriteProgressNotes(RuleBroken):
    """A nurse writes progress notes; a SOAP note is a clinician's or a trainee's."""

    status = 403


class OnlyTheAuthorEditsAndSigns(RuleBroken):
    """Only its author edits and signs a note."""

    status = 403


class OnlyADraftIsEdited(RuleBroken):
    """What was signed no longer changes: add an addendum."""


class NoteKeepsItsKind(RuleBroken):
    """A SOAP note stays one, and so does a progress note."""

    status = 422


class EncounterIsOfAnotherPatient(RuleBroken):
    """This encounter is another patient's."""


class EncounterIsAtAnotherFacility(RuleBroken):
    """This encounter is not at the facility whose patient this is."""


class EncounterDoesNotTakePlace(RuleBroken):
    """This encounter was cancelled, or entered in error: there is nothing to write about."""


class AuthorCannotCosign(RuleBroken):
    """The second signature is somebody else's than the author's."""


class CosignerMustBeAClinician(RuleBroken):
    """A trainee's note is cosigned by a clinician of this facility who is no trainee."""

    status = 403


class AddendumFollowsSigning(RuleBroken):
    """An addendum is added to a note that carries every signature it needs; before that, edit or cosign it."""


class TraineesWriteNoAddenda(RuleBroken):
    """An addendum is not cosigned: somebody adds it who signs alone."""

    status = 403


class OnlyAuthorOrClinicianWithdraws(RuleBroken):
    """A note is marked as entered in error by its author, or by a clinician who is no trainee."""

    status = 403


class OnlyASignedNoteIsVerified(RuleBroken):
    """A note that nobody signed has nothing to be verified against."""


class ProblemIsOnTheListAlready(RuleBroken):
    """The patient has this problem on the list, and it is not resolved."""


class DocumentIsTooLarge(RuleBroken):
    """A document is larger than this record keeps."""

    status = 413


class ContentIsNotOfItsMediaType(RuleBroken):
    """The content cannot be read as what its media type says it is."""

    status = 422


class VersionSaysNothingNew(RuleBroken):
    """A new version of a document says something else than the one before."""

    status = 422
