"""What people are told of: each topic with the variables that its templates may use, and how it is sent."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from contracts.notification import Channel
from services.notification.errors import TopicCannotBeFollowed, TopicIsUnknown, VariableIsMalformed, VariableIsUnknown

SHORT_CHANNELS: frozenset[Channel] = frozenset({"sms", "push"})
"""Shown on a locked screen and stored by carriers: no protected health information (45 CFR 164.312(e))."""

SAFE_IN_SHORT_MESSAGES = frozenset({"facility", "invoice_number", "time", "due_on"})
"""The variables that a short message may use: none says whom it is about, or anything of their health."""

SAFE_IN_SUBJECTS = SAFE_IN_SHORT_MESSAGES | {"part", "capacity", "items"}
"""Those that the subject of a mail may use."""

FORMS: Mapping[str, re.Pattern[str]] = {
    "invoice_number": re.compile(r"[A-Za-z0-9-]{1,40}"),
    "amount": re.compile(r"\d{1,12}(\.\d{1,4})? [A-Z]{3}"),
    "balance": re.compile(r"\d{1,12}(\.\d{1,4})? [A-Z]{3}"),
    "due_on": re.compile(r"\d{4}-\d\d-\d\d"),
    "time": re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:\d\d)"),
    "reference": re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
    "capacity": re.compile(r"\d{1,4}"),
    "part": re.compile(r"\d{1,4}"),
}
"""What is said by hand, in the form that events have it in: a short message is no place for somebody's own words."""

SAMPLES: Mapping[str, object] = {
    "name": "Amal Idris",
    "facility": "Nile Hospital",
    "invoice_number": "2026-000001",
    "amount": "40.00 USD",
    "balance": "12.50 USD",
    "due_on": "2026-03-01",
    "time": "2026-03-01T12:00:00+00:00",
    "code": "123456",
    "role": "nurse",
    "reason": "password_changed",
    "reference": "5b0c5f0e-2f0a-4a6e-9d0e-7f4f7f4b9a52",
    "capacity": 12,
    "part": 2,
    "items": ["Your invoice", "Your result is ready"],
}
"""Every variable there is, with a value to try a template with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """Something people are told of.

    says: the variables of the fact itself; the recipient's name, and the facility where there is one, are always there.
    channels: in the order in which they are tried. at_once: goes out whatever was preferred, at any hour, uncollected and
    uncounted. of_account: about the recipient's own account, at no facility. secret: what it said is forgotten once it is sent.
    staff: told to whoever has a role at a facility, so that others may follow it.
    """

    says: frozenset[str] = frozenset()
    channels: tuple[Channel, ...] = ("email", "sms", "push")
    at_once: bool = False
    of_account: bool = False
    secret: bool = False
    staff: bool = False

    @property
    def variables(self) -> frozenset[str]:
        """What its templates may use."""
        return self.says | ({"name"} if self.of_account else {"name", "facility"})

    def variables_on(self, channel: Channel) -> frozenset[str]:
        """What its templates for a channel may use."""
        return self.variables & SAFE_IN_SHORT_MESSAGES if channel in SHORT_CHANNELS else self.variables

    @property
    def variables_in_subjects(self) -> frozenset[str]:
        """What the subjects of its mails may use."""
        return self.variables & SAFE_IN_SUBJECTS


def _says(*names: str) -> frozenset[str]:
    return frozenset(names)


DIGEST = "digest"

TOPICS: Mapping[str, Topic] = {
    # ── accounts ──
    "account.verification": Topic(says=_says("code", "time"), channels=("email",), at_once=True, of_account=True, secret=True),
    "account.locked": Topic(says=_says("time"), channels=("email",), at_once=True, of_account=True),
    "account.suspended": Topic(says=_says("time"), channels=("email",), at_once=True, of_account=True),
    "account.signed_out": Topic(says=_says("time", "reason"), channels=("email",), at_once=True, of_account=True),
    "account.role_assigned": Topic(says=_says("role", "facility"), channels=("email",), at_once=True, of_account=True),
    DIGEST: Topic(says=_says("items"), of_account=True),
    # ── a patient's care ──
    "result.ready": Topic(),
    "result.revised": Topic(),
    "encounter.discharged": Topic(says=_says("time")),
    # ── a patient's money ──
    "invoice.issued": Topic(says=_says("invoice_number", "amount", "due_on")),
    "invoice.overdue": Topic(says=_says("invoice_number", "balance", "due_on")),
    "invoice.paid": Topic(says=_says("invoice_number", "amount", "time")),
    "invoice.partially_paid": Topic(says=_says("invoice_number", "amount", "balance")),
    "invoice.reopened": Topic(says=_says("invoice_number", "balance")),
    "invoice.voided": Topic(says=_says("invoice_number")),
    "credit.created": Topic(says=_says("invoice_number", "amount")),
    "payment.failed": Topic(says=_says("invoice_number", "amount")),
    "refund.succeeded": Topic(says=_says("invoice_number", "amount", "time")),
    "installment.due": Topic(says=_says("invoice_number", "amount", "due_on", "part")),
    "installment.overdue": Topic(says=_says("invoice_number", "amount", "due_on", "part")),
    "installment.plan_defaulted": Topic(says=_says("invoice_number", "amount")),
    "account.in_collections": Topic(says=_says("balance", "time")),
    # ── the staff's work ──
    "result.reported": Topic(says=_says("reference", "time"), staff=True),
    "result.corrected": Topic(says=_says("reference", "time"), staff=True),
    "result.critical": Topic(says=_says("reference", "time"), at_once=True, staff=True),
    "result.critical_overdue": Topic(says=_says("reference", "time"), at_once=True, staff=True),
    "sample.rejected": Topic(says=_says("reference", "time"), staff=True),
    "note.cosign_requested": Topic(says=_says("reference", "time"), staff=True),
    "note.cosign_overdue": Topic(says=_says("reference", "time"), staff=True),
    "bed.request_waiting": Topic(says=_says("reference", "time"), staff=True),
    "ward.full": Topic(says=_says("capacity", "time"), staff=True),
    "refund.failed": Topic(says=_says("reference", "amount"), staff=True),
    "dispute.opened": Topic(says=_says("reference", "amount", "time"), staff=True),
    "dispute.lost": Topic(says=_says("reference", "amount"), staff=True),
    "reconciliation.mismatched": Topic(says=_says("reference"), staff=True),
}


def topic_named(name: str) -> Topic:
    """Raises TopicIsUnknown."""
    if name not in TOPICS:
        raise TopicIsUnknown
    return TOPICS[name]


def check_said(topic: Topic, variables: Mapping[str, str]) -> None:
    """Whether a person may say this under a topic. Raises VariableIsUnknown, VariableIsMalformed, which do not repeat it."""
    if unknown := variables.keys() - topic.says:
        raise VariableIsUnknown(variables=", ".join(sorted(unknown)))
    if malformed := {name for name, said in variables.items() if not FORMS[name].fullmatch(said)}:
        raise VariableIsMalformed(variables=", ".join(sorted(malformed)))


def check_followable(name: str) -> None:
    """Whether others than those addressed may follow a topic. Raises TopicIsUnknown, TopicCannotBeFollowed."""
    if not topic_named(name).staff:
        raise TopicCannotBeFollowed(topic=name)
