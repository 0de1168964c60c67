"""The rules of operations that can be broken, each named as a sentence.

RuleBroken
├── OperationNeedsAnotherRole
├── SayWhy
├── OneMessageAtATime
├── OnlyWhoAskedSeesTheAnswer
└── AnsweredAlready
"""

from __future__ import annotations

from broker import RuleBroken


class OperationNeedsAnotherRole(RuleBroken):
    """Viewers look and try, operators act, and only privacy officers see personal data."""

    status = 403


class SayWhy(RuleBroken):
    """Whoever changes something, or sees personal data, says why."""


class OneMessageAtATime(RuleBroken):
    """A message is corrected, redirected or revealed by itself: name exactly one."""


class OnlyWhoAskedSeesTheAnswer(RuleBroken):
    """What a service answered is for whoever asked."""

    status = 404


class AnsweredAlready(RuleBroken):
    """The service has answered: what it began is stopped as an action, not withdrawn as a request."""
