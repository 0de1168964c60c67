"""The rules of clinical that can be broken, each named as a sentence.

Failure
├── RuleBroken
│   ├── about the house: FacilityIsNotActive
│   ├── about patients: MedicalRecordNumberIsTaken, PatientCannotBecome, PatientsMergeWithinOneFacility,
│   │   PatientCannotMergeIntoThemselves, MergeTargetIsItselfMerged, DeceasedMergesOnlyIntoDeceased,
│   │   MergedPatientIsReadOnly, OnlyAMergedPatientCanBeUnmerged,
│   │   BothPatientsAreInpatients, PatientIsInactive, DeathIsBeforeBirth, DuplicateReviewCannotBecome, SurvivorIsNotOfThisPair
│   ├── about encounters: EncounterCannotBecome, DischargeIsBeforeTheStart, EncounterIsAfterDeath, PatientIsAlreadyAnInpatient,
│   │   OnlyAnInpatientNeedsABed, DischargeIsRequestedForInpatients, DischargeIsAlreadyRequested, OpenStatOrdersBlockDischarge,
│   │   EncounterIsOfAnotherPatient, EncounterNeverWas
│   ├── about the record: TimeIsInTheFuture, RecordIsBeforeBirth, RecordIsAfterDeath, DiagnosisCannotBecome,
│   │   DiagnosisCodeIsMalformed, DiagnosisCodeIsUnknown, DiagnosisCodeIsNotBillable,
│   │   AllergyIsAlreadyRecorded, AllergyCannotBecome, PatientIsTooYoungForThisDose, DoseIsTooSoonAfterThePrevious,
│   │   DoseIsTooSoonAfterTheFirst, DoseWasAlreadyGiven, PreviousDoseIsNotRecorded, VitalSignIsImplausible,
│   │   DiastolicIsNotBelowSystolic
│   └── about breaking the glass: AccessIsGivenAlready, GlassIsBrokenAlready, BreakGlassCannotBecome, NobodyReviewsThemselves
└── Later
    └── PatientIsNotKnownYet
"""

from __future__ import annotations

from broker import Later, RuleBroken


class FacilityIsNotActive(RuleBroken):
    """At a facility that is not active no patient is registered or admitted, and no encounter planned."""


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


class DeceasedMergesOnlyIntoDeceased(RuleBroken):
    """This patient died: record the death in the record that is to live on too, or merge that one into this."""


class MergedPatientIsReadOnly(RuleBroken):
    """This record was merged into another one: change that one."""


class OnlyAMergedPatientCanBeUnmerged(RuleBroken):
    """This record was not merged into another one."""


class BothPatientsAreInpatients(RuleBroken):
    """Two records that are both admitted cannot become one: nobody lies in two beds."""


class PatientIsInactive(RuleBroken):
    """The facility no longer treats this patient: reactivate the record before an encounter is planned."""


class DuplicateReviewCannotBecome(RuleBroken):
    """Whether these two records are of one person is decided already."""


class SurvivorIsNotOfThisPair(RuleBroken):
    """Of two records that are of one person, one of the two lives on."""

    status = 422


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


class EncounterIsAfterDeath(RuleBroken):
    """A patient who died is not seen after the day of death."""


class PatientIsAlreadyAnInpatient(RuleBroken):
    """A patient has one inpatient stay at a time: the one before has to be discharged."""


class OnlyAnInpatientNeedsABed(RuleBroken):
    """A ward and isolation are for inpatient encounters."""

    status = 422


class DischargeIsRequestedForInpatients(RuleBroken):
    """Only of an inpatient who is here can the discharge be requested."""


class DischargeIsAlreadyRequested(RuleBroken):
    """The discharge was requested before."""


class OpenStatOrdersBlockDischarge(RuleBroken):
    """Urgent lab orders of this stay are open: wait for them, cancel them, or say why the patient goes without."""


class EncounterIsOfAnotherPatient(RuleBroken):
    """This encounter is not one of this patient."""

    status = 422


class EncounterNeverWas(RuleBroken):
    """Nothing is recorded in an encounter that is {state}."""


class RecordIsBeforeBirth(RuleBroken):
    """Nothing is done to somebody who is not born yet."""

    status = 422


class RecordIsAfterDeath(RuleBroken):
    """Nobody is vaccinated, and no vital sign measured, after the day of death."""

    status = 422


class DiagnosisCannotBecome(RuleBroken):
    """A diagnosis in this state cannot become what is asked."""


class DiagnosisCodeIsMalformed(RuleBroken):
    """This is not how an ICD-10-CM code is written."""

    status = 422


class DiagnosisCodeIsUnknown(RuleBroken):
    """The code set that is loaded does not have this ICD-10-CM code."""

    status = 422


class DiagnosisCodeIsNotBillable(RuleBroken):
    """This ICD-10-CM code is a category that is further divided: choose the code that says all that is known."""

    status = 422


class AllergyIsAlreadyRecorded(RuleBroken):
    """This patient's allergy to this substance is recorded."""


class AllergyCannotBecome(RuleBroken):
    """This allergy was removed already."""


class PatientIsTooYoungForThisDose(RuleBroken):
    """The patient is younger than the minimum age for this dose."""


class DoseIsTooSoonAfterThePrevious(RuleBroken):
    """The minimum interval since the dose before has not passed."""


class DoseIsTooSoonAfterTheFirst(RuleBroken):
    """The minimum interval since the first dose of the series has not passed."""


class DoseWasAlreadyGiven(RuleBroken):
    """This dose of this vaccine is recorded already."""


class PreviousDoseIsNotRecorded(RuleBroken):
    """A dose before this one is not recorded: record it first, also where it was given elsewhere."""


class VitalSignIsImplausible(RuleBroken):
    """No living person has a vital sign like this: measure or type again."""

    status = 422


class DiastolicIsNotBelowSystolic(RuleBroken):
    """Diastolic blood pressure is below systolic."""

    status = 422


class AccessIsGivenAlready(RuleBroken):
    """This record is open to its own facility: there is no glass to break."""


class GlassIsBrokenAlready(RuleBroken):
    """This user has opened this record, and the time for it is still running."""


class BreakGlassCannotBecome(RuleBroken):
    """This was reviewed already."""


class NobodyReviewsThemselves(RuleBroken):
    """Who opened a record does not review whether that was justified."""


class PatientIsNotKnownYet(Later):
    """Something came for a patient who is not registered here yet; it is tried again until they are."""
