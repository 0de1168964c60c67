"""The rules of facility that can be broken, each named as a sentence.

RuleBroken
├── FacilityCannotBecome
├── FacilityIsNotActive
├── FacilityHasPatients
├── TimeZoneIsUnknown
├── SettingHasAnotherType
├── VisitingHoursEndBeforeTheyBegin
├── WardIsAtCapacity
├── WardIsInUse
├── WardIsForAnotherSex
├── IsolatedPatientLiesAlone
├── NobodyLiesBesideAnIsolatedPatient
├── BedCannotBecome
├── BedIsInAnotherFacility
├── BedIsKeptForSomebodyElse
├── BedRequestCannotBecome
├── EncounterHasABed
├── EncounterHasBegun
├── PatientHasABed
├── PatientIsOfAnotherFacility
├── PatientIsNotActive
└── NotFound
    └── SettingIsUnknown
"""

from __future__ import annotations

from broker import NotFound, RuleBroken


class FacilityCannotBecome(RuleBroken):
    """A facility in this state cannot become what is asked."""


class FacilityIsNotActive(RuleBroken):
    """Nothing new begins at a facility that is not active."""


class FacilityHasPatients(RuleBroken):
    """A facility is deactivated when none of its beds is occupied or reserved."""


class TimeZoneIsUnknown(RuleBroken):
    """A facility's time zone is one of the IANA time zone database."""

    status = 422


class SettingIsUnknown(NotFound):
    """There is no such setting."""


class SettingHasAnotherType(RuleBroken):
    """This setting takes a value of another type or range."""

    status = 422


class VisitingHoursEndBeforeTheyBegin(RuleBroken):
    """Visiting hours do not end before they begin."""

    status = 422


class WardIsAtCapacity(RuleBroken):
    """A ward has no more beds in service than it can nurse."""


class WardIsInUse(RuleBroken):
    """Whom a ward is for changes only while nobody lies in it or is expected there."""


class WardIsForAnotherSex(RuleBroken):
    """A patient lies in a ward that is for their sex, or in a mixed one."""


class IsolatedPatientLiesAlone(RuleBroken):
    """An isolated patient lies alone, in a single room or in a ward that is equipped for isolation."""


class NobodyLiesBesideAnIsolatedPatient(RuleBroken):
    """Nobody is put into a room where an isolated patient lies."""


class BedCannotBecome(RuleBroken):
    """A bed in this state cannot become what is asked."""


class BedIsInAnotherFacility(RuleBroken):
    """A patient is transferred to a bed of the same facility."""


class BedIsKeptForSomebodyElse(RuleBroken):
    """A reserved bed is for the encounter that it was reserved for."""


class BedRequestCannotBecome(RuleBroken):
    """An encounter whose need of a bed is in this state cannot become what is asked."""


class EncounterHasABed(RuleBroken):
    """An encounter has one bed."""


class EncounterHasBegun(RuleBroken):
    """A bed is reserved before an encounter begins; from then on it is assigned."""


class PatientHasABed(RuleBroken):
    """A patient lies in one bed."""


class PatientIsOfAnotherFacility(RuleBroken):
    """A bed is given to a patient of its own facility."""


class PatientIsNotActive(RuleBroken):
    """A bed is kept only for a patient whom the facility treats."""
