"""The rules of the lab that can be broken, each named as a sentence.

RuleBroken
├── OrderCannotBecome
├── SampleCannotBecome
├── ResultCannotBecome
├── CallBackCannotBecome
├── FacilityIsNotActive
├── PatientIsDeceased
├── EncounterIsOver
├── EncounterIsOfAnotherPatient
├── DuplicateOrder
├── TestIsNotOffered
├── OrderNamesATestTwice
├── OrderHasResultsAlready
├── ReferenceRangesOverlap
├── RangeEndsBeforeItBegins
├── DeltaNeedsALimit
├── ControlNeedsASpread
├── ReflexNeedsACondition
├── ReflexNamesItsOwnTest
├── TestIsNotPartOfTheOrder
├── SampleWasTakenForThisTestAlready
├── SampleNeedsTwoIdentifiers
├── SampleLabelDoesNotMatchThePatient
├── TestHasNoAcceptedSample
├── TestHasAResultAlready
├── ResultHasOneValue
├── UnitIsUnknown
├── UnitCannotBeConverted
├── CorrectionChangesNothing
├── NoCallIsDue
├── CallNamesOneCallee
├── CallPrecedesTheResult
├── ReadBackDoesNotMatch
└── TimeIsInTheFuture
"""

from __future__ import annotations

from broker import RuleBroken


class OrderCannotBecome(RuleBroken):
    """An order in this state cannot become what is asked."""


class SampleCannotBecome(RuleBroken):
    """A sample in this state cannot become what is asked."""


class ResultCannotBecome(RuleBroken):
    """A result in this state cannot become what is asked."""


class CallBackCannotBecome(RuleBroken):
    """The call of a critical result cannot become what is asked."""


class FacilityIsNotActive(RuleBroken):
    """Nothing is ordered at a facility that is not active."""


class PatientIsDeceased(RuleBroken):
    """Nothing is ordered for a patient who has died."""


class EncounterIsOver(RuleBroken):
    """Nothing is ordered during an encounter that is over or does not take place."""


class EncounterIsOfAnotherPatient(RuleBroken):
    """An order is for the patient of its encounter."""


class DuplicateOrder(RuleBroken):
    """This test was ordered for the patient a short while ago: give a reason to order it again."""


class TestIsNotOffered(RuleBroken):
    """The lab does not offer this test."""

    __test__ = False


class OrderNamesATestTwice(RuleBroken):
    """An order names each test once."""

    status = 422


class OrderHasResultsAlready(RuleBroken):
    """An order that has final results can no longer be cancelled."""


class ReferenceRangesOverlap(RuleBroken):
    """Two reference ranges of a test are for the same sex and age."""

    status = 422


class RangeEndsBeforeItBegins(RuleBroken):
    """The lower end of a range must not be above its upper end."""

    status = 422


class DeltaNeedsALimit(RuleBroken):
    """A delta check needs an absolute limit or one in percent."""

    status = 422


class ControlNeedsASpread(RuleBroken):
    """The standard deviation of a control is above zero."""

    status = 422


class ReflexNeedsACondition(RuleBroken):
    """A reflex test needs a flag or a limit."""

    status = 422


class ReflexNamesItsOwnTest(RuleBroken):
    """A test is not a reflex test of itself."""

    status = 422


class TestIsNotPartOfTheOrder(RuleBroken):
    """This test was not ordered."""

    __test__ = False


class SampleWasTakenForThisTestAlready(RuleBroken):
    """A sample was already taken for this test."""


class SampleNeedsTwoIdentifiers(RuleBroken):
    """The label of a sample must show two identifiers of the patient."""

    status = 422


class SampleLabelDoesNotMatchThePatient(RuleBroken):
    """The label of the sample is not that of the patient it was ordered for."""


class TestHasNoAcceptedSample(RuleBroken):
    """A result needs a sample that the lab accepted."""

    __test__ = False


class TestHasAResultAlready(RuleBroken):
    """This test has a result: verify, cancel or correct that one."""

    __test__ = False


class ResultHasOneValue(RuleBroken):
    """A result is either a number with a unit or a text."""

    status = 422


class UnitIsUnknown(RuleBroken):
    """This is not a unit that the lab can convert."""

    status = 422


class UnitCannotBeConverted(RuleBroken):
    """A value in this unit cannot be expressed in the unit of the test."""

    status = 422


class CorrectionChangesNothing(RuleBroken):
    """A correction must say something else than the result does."""

    status = 422


class NoCallIsDue(RuleBroken):
    """This result was never critical, or is history: nobody has to be called."""


class CallNamesOneCallee(RuleBroken):
    """Either a user was called or a role."""

    status = 422


class CallPrecedesTheResult(RuleBroken):
    """A result cannot be called before it was released."""

    status = 422


class ReadBackDoesNotMatch(RuleBroken):
    """What was read back is not what the result says: say it again."""


class TimeIsInTheFuture(RuleBroken):
    """What is recorded as having happened cannot lie in the future."""

    status = 422
