"""The rules of notification that can be broken, each named as a sentence.

RuleBroken
├── AddressIsNotUsable
├── DeliveryCannotBecome
├── FollowersHaveARoleThere
├── NotificationCannotBecome
├── QuietHoursNeedAnEnd
├── TimeZoneIsUnknown
├── TopicCannotBeFollowed
├── TopicIsSentByEventsOnly
├── TopicIsUnknown
├── TemplateIsRefused
│   ├── TemplateIsMalformed
│   ├── TemplateUsesUndeclaredVariable
│   ├── PersonalDataStaysOutOfShortMessages
│   └── PersonalDataStaysOutOfSubjects
├── VariableIsMalformed
├── VariableIsMissing
└── VariableIsUnknown
"""

from __future__ import annotations

from broker import RuleBroken


class NotificationCannotBecome(RuleBroken):
    """A notification in this state cannot become what is asked."""


class DeliveryCannotBecome(RuleBroken):
    """A delivery in this state cannot become what is asked."""


class AddressIsNotUsable(RuleBroken):
    """This channel cannot reach such an address."""

    status = 422


class TopicIsUnknown(RuleBroken):
    """There is no such topic."""

    status = 422


class TopicCannotBeFollowed(RuleBroken):
    """What concerns one person is told to that person alone: nobody else follows this topic."""


class FollowersHaveARoleThere(RuleBroken):
    """Whoever follows a topic of a facility has a role at that facility."""


class TopicIsSentByEventsOnly(RuleBroken):
    """What is told about an account comes from what happened to it, never from a person."""


class TimeZoneIsUnknown(RuleBroken):
    """A time zone is one of the IANA database."""

    status = 422


class QuietHoursNeedAnEnd(RuleBroken):
    """Quiet hours begin and end, at different times of day."""

    status = 422


class TemplateIsRefused(RuleBroken):
    """A template has to be fit to be sent before it is registered."""

    status = 422


class TemplateIsMalformed(TemplateIsRefused):
    """A template has to render: mail with a subject and a text, a short message with a text alone."""


class TemplateUsesUndeclaredVariable(TemplateIsRefused):
    """A template may only use the variables that its topic declares."""


class PersonalDataStaysOutOfShortMessages(TemplateIsRefused):
    """SMS and push are read by whoever holds the device: their templates say nothing of a person."""


class PersonalDataStaysOutOfSubjects(TemplateIsRefused):
    """The subject of a mail is shown on locked screens and kept in servers' logs: it names nobody, and holds no code."""


class VariableIsMalformed(RuleBroken):
    """What is said by hand has the form of what it is called: a number, an amount, a day; never a text of one's own."""

    status = 422


class VariableIsMissing(RuleBroken):
    """A message lacks something that its template says: it is not sent half."""

    status = 422


class VariableIsUnknown(RuleBroken):
    """A message says what its topic declares, and nothing else."""

    status = 422
