"""Which event is told to whom, under which topic, and what of it is said: the whole reaction of this service, as one table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from contracts.auth import AuthUserLocked, AuthVerificationRequested, RoleAssigned, SessionRevoked, UserSuspended
from contracts.billing import (
    BillingAccountSentToCollections,
    CreditCreated,
    InvoiceIssued,
    InvoiceOverdue,
    InvoicePaid,
    InvoicePartiallyPaid,
    InvoiceReopened,
    InvoiceVoided,
)
from contracts.clinical import EncounterDischarged
from contracts.ehr import NoteCosignOverdue, NoteCosignRequested
from contracts.event import Event
from contracts.facility import BedRequestWaiting, WardFull
from contracts.lab import LabResultAvailable, LabResultCorrected, LabResultCriticalOverdue, LabSampleRejected
from contracts.payment import (
    DisputeLost,
    DisputeOpened,
    InstallmentDue,
    InstallmentOverdue,
    InstallmentPlanDefaulted,
    PaymentFailed,
    PaymentReconciliationMismatched,
    RefundFailed,
    RefundSucceeded,
)
from services.notification import rules
from services.notification.topics import TOPICS


@dataclass(frozen=True, slots=True)
class ThePatient:
    """The patient whom the event is about."""


@dataclass(frozen=True, slots=True)
class TheAccount:
    """The user whom auth itself speaks of."""


@dataclass(frozen=True, slots=True)
class TheUser:
    """The user whom a field names, if it names one."""

    field: str


@dataclass(frozen=True, slots=True)
class Everybody:
    """Whoever has a role at the event's facility."""

    role: str


Audience = ThePatient | TheAccount | TheUser | Everybody


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcement:
    """How one event is told.

    says: variables, each with the field that it comes from. once_per: the fields that make the fact: whoever has been told
    under this topic of the same fact is not told again; none where every message is a fact of its own. in_one_minute: the field
    with the time of what happens to several things at once, and is then told once. when: whether this event is told at all.
    at: the field with the time at which it happened, of what may be written down long after; then it is history, and not told.
    """

    event: type[Event]
    topic: str
    to: tuple[Audience, ...]
    says: Mapping[str, str] = field(default_factory=dict)
    once_per: tuple[str, ...]
    in_one_minute: str | None = None
    when: Callable[[Event], bool] = lambda event: True
    at: str | None = None

    def is_history(self, event: Event, told_at: datetime) -> bool:
        """Whether it had long happened when the event was published."""
        happened_at = getattr(event, self.at) if self.at is not None else None
        return happened_at is not None and rules.is_history(happened_at, told_at)

    def fact(self, event: Event, message_id: UUID | None) -> str:
        """What identifies the fact that the event states, which this message brought."""
        parts = [str(getattr(event, name)) for name in self.once_per]
        if self.in_one_minute is not None:
            parts.append(f"{getattr(event, self.in_one_minute):%Y-%m-%dT%H:%M}")
        return " ".join(parts) or f"message {message_id}"


def is_critical(event: Event) -> bool:
    """Whether a result needs somebody at once."""
    return bool(getattr(event, "is_critical", False))


def is_ended_by_others(event: Event) -> bool:
    """Whether a person's session was ended by something that they may not know of; a program's has no person."""
    is_a_persons = getattr(event, "session_id", None) != getattr(event, "user_id", None)
    return is_a_persons and not getattr(event, "deleted", False) and getattr(event, "reason", None) in ENDED_BY_OTHERS


def is_at_a_facility(event: Event) -> bool:
    """Whether it is known whose concern it is."""
    return getattr(event, "facility_id", None) is not None


ENDED_BY_OTHERS = frozenset({"refresh_token_reused", "password_changed", "by_administrator"})
"""Why a session ended of which its user is told: it may have been somebody else. Of a suspension they are told as such."""

PATIENT, CLINICIANS, NURSES = ThePatient(), Everybody("clinician"), Everybody("nurse")
BILLING_MANAGERS, BED_MANAGERS = Everybody("billing_manager"), Everybody("bed_manager")
WHO_ORDERED = TheUser("ordered_by")
INVOICE = {"invoice_number": "invoice_id"}
RESULT = {"reference": "order_id", "time": "resulted_at"}
INSTALMENT = INVOICE | {"amount": "amount", "due_on": "due_on", "part": "number"}

ANNOUNCEMENTS = (
    # ── accounts ──
    Announcement(
        event=AuthVerificationRequested,
        topic="account.verification",
        to=(TheAccount(),),
        says={"code": "code", "time": "expires_at"},
        once_per=("expires_at",),
    ),
    Announcement(
        event=AuthUserLocked,
        topic="account.locked",
        to=(TheAccount(),),
        says={"time": "locked_until"},
        once_per=("locked_until",),
    ),
    Announcement(
        event=UserSuspended,
        topic="account.suspended",
        to=(TheAccount(),),
        says={"time": "suspended_at"},
        once_per=("suspended_at",),
    ),
    Announcement(
        event=SessionRevoked,
        topic="account.signed_out",
        to=(TheAccount(),),
        says={"time": "revoked_at", "reason": "reason"},
        once_per=("reason",),
        in_one_minute="revoked_at",
        when=is_ended_by_others,
        at="revoked_at",
    ),
    Announcement(
        event=RoleAssigned,
        topic="account.role_assigned",
        to=(TheAccount(),),
        says={"role": "role", "facility": "facility_id"},
        once_per=(),
    ),
    # ── results: the patient and whoever ordered hear of an order once, however many results it has ──
    Announcement(event=LabResultAvailable, topic="result.ready", to=(PATIENT,), once_per=("order_id",), at="resulted_at"),
    Announcement(
        event=LabResultAvailable,
        topic="result.reported",
        to=(WHO_ORDERED,),
        says=RESULT,
        once_per=("order_id",),
        at="resulted_at",
    ),
    Announcement(
        event=LabResultAvailable,
        topic="result.critical",
        to=(WHO_ORDERED, CLINICIANS, NURSES),
        says=RESULT,
        once_per=("result_id", "resulted_at"),
        when=is_critical,
        at="resulted_at",
    ),
    Announcement(
        event=LabResultCorrected,
        topic="result.revised",
        to=(PATIENT,),
        once_per=("result_id", "resulted_at"),
    ),
    Announcement(
        event=LabResultCorrected,
        topic="result.corrected",
        to=(WHO_ORDERED,),
        says=RESULT,
        once_per=("result_id", "resulted_at"),
    ),
    Announcement(
        event=LabResultCorrected,
        topic="result.critical",
        to=(WHO_ORDERED, CLINICIANS, NURSES),
        says=RESULT,
        once_per=("result_id", "resulted_at"),
        when=is_critical,
    ),
    Announcement(
        event=LabResultCriticalOverdue,
        topic="result.critical_overdue",
        to=(Everybody("lab_manager"), CLINICIANS),
        says={"reference": "order_id", "time": "due_at"},
        once_per=("result_id",),
    ),
    Announcement(
        event=LabSampleRejected,
        topic="sample.rejected",
        to=(NURSES,),
        says={"reference": "recollect_order_id", "time": "rejected_at"},
        once_per=("sample_id",),
    ),
    # ── the stay ──
    Announcement(
        event=EncounterDischarged,
        topic="encounter.discharged",
        to=(PATIENT,),
        says={"time": "discharged_at"},
        once_per=("encounter_id",),
        at="discharged_at",
    ),
    Announcement(
        event=BedRequestWaiting,
        topic="bed.request_waiting",
        to=(BED_MANAGERS,),
        says={"reference": "encounter_id", "time": "waiting_since"},
        once_per=("encounter_id", "waiting_since"),
    ),
    Announcement(
        event=WardFull,
        topic="ward.full",
        to=(BED_MANAGERS,),
        says={"capacity": "capacity", "time": "full_since"},
        once_per=("ward_id", "full_since"),
    ),
    Announcement(
        event=NoteCosignRequested,
        topic="note.cosign_requested",
        to=(CLINICIANS,),
        says={"reference": "note_id", "time": "due_at"},
        once_per=("note_id",),
    ),
    Announcement(
        event=NoteCosignOverdue,
        topic="note.cosign_overdue",
        to=(TheUser("author_id"), CLINICIANS),
        says={"reference": "note_id", "time": "due_at"},
        once_per=("note_id",),
    ),
    # ── money ──
    Announcement(
        event=InvoiceIssued,
        topic="invoice.issued",
        to=(PATIENT,),
        says={"invoice_number": "number", "amount": "total", "due_on": "due_on"},
        once_per=("invoice_id",),
        at="issued_at",
    ),
    Announcement(
        event=InvoiceOverdue,
        topic="invoice.overdue",
        to=(PATIENT,),
        says=INVOICE | {"balance": "balance", "due_on": "due_on"},
        once_per=("invoice_id", "due_on"),
    ),
    Announcement(
        event=InvoicePaid,
        topic="invoice.paid",
        to=(PATIENT,),
        says=INVOICE | {"amount": "amount", "time": "paid_at"},
        once_per=("invoice_id", "paid_at"),
        at="paid_at",
    ),
    Announcement(
        event=InvoicePartiallyPaid,
        topic="invoice.partially_paid",
        to=(PATIENT,),
        says=INVOICE | {"amount": "amount", "balance": "balance"},
        once_per=(),
        at="paid_at",
    ),
    Announcement(
        event=InvoiceReopened,
        topic="invoice.reopened",
        to=(PATIENT,),
        says=INVOICE | {"balance": "balance"},
        once_per=(),
    ),
    Announcement(
        event=CreditCreated,
        topic="credit.created",
        to=(PATIENT,),
        says=INVOICE | {"amount": "amount"},
        once_per=("credit_id",),
        at="created_at",
    ),
    Announcement(event=InvoiceVoided, topic="invoice.voided", to=(PATIENT,), says=INVOICE, once_per=("invoice_id",)),
    Announcement(
        event=PaymentFailed,
        topic="payment.failed",
        to=(PATIENT,),
        says=INVOICE | {"amount": "amount"},
        once_per=("payment_id",),
    ),
    Announcement(
        event=RefundSucceeded,
        topic="refund.succeeded",
        to=(PATIENT,),
        says=INVOICE | {"amount": "amount", "time": "succeeded_at"},
        once_per=("refund_id",),
    ),
    Announcement(event=InstallmentDue, topic="installment.due", to=(PATIENT,), says=INSTALMENT, once_per=("plan_id", "number")),
    Announcement(
        event=InstallmentOverdue, topic="installment.overdue", to=(PATIENT,), says=INSTALMENT, once_per=("plan_id", "number")
    ),
    Announcement(
        event=InstallmentPlanDefaulted,
        topic="installment.plan_defaulted",
        to=(PATIENT,),
        says=INVOICE | {"amount": "open_amount"},
        once_per=("plan_id",),
        at="defaulted_at",
    ),
    Announcement(
        event=BillingAccountSentToCollections,
        topic="account.in_collections",
        to=(PATIENT,),
        says={"balance": "balance", "time": "sent_at"},
        once_per=("sent_at",),
    ),
    Announcement(
        event=RefundFailed,
        topic="refund.failed",
        to=(BILLING_MANAGERS,),
        says={"reference": "payment_id", "amount": "amount"},
        once_per=("refund_id",),
    ),
    Announcement(
        event=DisputeOpened,
        topic="dispute.opened",
        to=(BILLING_MANAGERS,),
        says={"reference": "payment_id", "amount": "amount", "time": "evidence_due_at"},
        once_per=("dispute_id",),
    ),
    Announcement(
        event=DisputeLost,
        topic="dispute.lost",
        to=(BILLING_MANAGERS,),
        says={"reference": "payment_id", "amount": "amount"},
        once_per=("dispute_id",),
    ),
    Announcement(
        event=PaymentReconciliationMismatched,
        topic="reconciliation.mismatched",
        to=(BILLING_MANAGERS,),
        says={"reference": "reconciliation_id"},
        once_per=("reconciliation_id",),
        when=is_at_a_facility,
    ),
)


def _events(*, at_once: bool) -> tuple[type[Event], ...]:
    return tuple(dict.fromkeys(each.event for each in ANNOUNCEMENTS if TOPICS[each.topic].at_once == at_once))


AT_ONCE = _events(at_once=True)
"""The events of which something has to be told without waiting behind a backlog of everything else."""

IN_TURN = _events(at_once=False)


def announcements_of(event: Event, told_at: datetime, *, at_once: bool) -> list[Announcement]:
    """How an event that was published at `told_at` is told, if at all, in one of the two ways."""
    told = [each for each in ANNOUNCEMENTS if TOPICS[each.topic].at_once == at_once and isinstance(event, each.event)]
    return [each for each in told if each.when(event) and not each.is_history(event, told_at)]
