"""The rules of clinical that can be broken, each named as a sentence.

Failure
├── RuleBroken
│   ├── MedicalRecordNumberIsTaken
│   ├── PatientCannotBecome
│   ├── PatientsMergeWithinOneFacility
│   ├── PatientCannotMergeIntoThemselves
│   ├── MergeTargetIsItselfMerged
│   ├── MergedPatientIsReadOnly
│   ├── OnlyAMergedPatientCanBeUnmerged
│   ├── TimeIsInTheFuture
│   ├── DeathIsBeforeBirth
│   ├── EncounterCannotBecome
│   └── DischargeIsBeforeTheStart
└── Later
    └── PatientIsNotKnownYet
"""

from __future__ import annotations

from broker import Later, RuleBroken


class MedicalRecordNumberIsTaken(RuleBroken):
    """Another patient of this facility has this medical record number."""


class PatientCannotBecome(RuleBroken):
    """A patient in this state cannot become what is asked."""


class PatientsMergeWithinOneFacility(RuleBroken):
    """Two records can be merged only within one facility."""


class PatientCannotMergeIntoThemselves(RuleBroken):
    """A patient's record cannot be merged into itself."""


class MergeTargetIsItselfMerged(RuleBroken):
    """The record to merge into was itself merged into another one: merge into that one."""


class MergedPatientIsReadOnly(RuleBroken):
    """This record was merged into another one: change that one."""


class OnlyAMergedPatientCanBeUnmerged(RuleBroken):
    """This record was not merged into another one."""


class TimeIsInTheFuture(RuleBroken):
    """What is recorded as having happened cannot lie in the future."""

    status = 422


class DeathIsBeforeBirth(RuleBroken):
    """Nobody dies before being born."""

    status = 422


class EncounterCannotBecome(RuleBroken):
    """An encounter in this state cannot become what is asked."""


class DischargeIsBeforeTheStart(RuleBroken):
    """An encounter cannot end before it started."""

    status = 422


class PatientIsNotKnownYet(Later):
    """Something came for a patient who is not registered here yet; it is tried again until they are."""
