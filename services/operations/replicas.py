"""What operations knows of the platform: which messages failed, never what they say; how services are doing; and what
people call things by."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Index, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from broker import Replica
from contracts.auth import UserChanged
from contracts.backbone import FailedMessageChanged, FailedState, FailureActionChanged, ServiceCopyChanged
from contracts.billing import InvoiceChanged
from contracts.clinical import PatientChanged
from services.operations.tables import Base


def _open(name: str, *columns: str) -> Index:
    """An index of what failed and has not gone through since."""
    return Index(f"failed_message_reference_{name}_idx", *columns, postgresql_where=text("NOT deleted"))


class FailedMessageReference(Replica[FailedMessageChanged], Base):
    """A failed message of any service; `id` is what people call it: `billing/17`."""

    __tablename__ = "failed_message_reference"
    __table_args__ = (
        _open("group", "service", "heard_by", "state", "fingerprint", "first_failed_at", "id"),
        _open("latest", "service", "heard_by", "state", "fingerprint", "last_failed_at", "id"),
        _open("fingerprint", "fingerprint", "first_failed_at", "id"),
        _open("state", "state", "first_failed_at", "id"),
        _open("type", "type", "first_failed_at", "id"),
        _open("first_failed_at_id", "first_failed_at", "id"),
        Index("failed_message_reference_told_idx", "service", "id"),  # by bytes, as the migration says: nobody can reflect it
        Index(None, "flow"),
        Index(None, "aggregate"),
        Index(
            "failed_message_reference_words_idx",
            text("failure_words(fingerprint, reason)"),
            postgresql_using="gin",
            postgresql_where=text("NOT deleted"),
        ),
    )

    service: Mapped[str]
    position: Mapped[int] = mapped_column(BigInteger)
    message_id: Mapped[UUID | None]
    heard_by: Mapped[str] = mapped_column(comment="the subscription")
    state: Mapped[FailedState]
    type: Mapped[str]
    type_version: Mapped[int]
    aggregate: Mapped[str]
    flow: Mapped[UUID | None]
    error: Mapped[str]
    reason: Mapped[str]
    fingerprint: Mapped[str]
    attempts: Mapped[int]
    due_at: Mapped[datetime | None]
    waits_for: Mapped[str | None]
    waits_key: Mapped[str | None]
    first_failed_at: Mapped[datetime]
    last_failed_at: Mapped[datetime]

    @classmethod
    def kept(cls, event: FailedMessageChanged) -> dict[str, Any]:
        """The event's fields; every replica has a `subscription` of its own."""
        own = {column.name for column in cls.__table__.columns} & FailedMessageChanged.model_fields.keys() - {"deleted"}
        kept = {name: getattr(event, name) for name in own - {"state_version"}}
        return {**kept, "heard_by": event.subscription}


class FailureCount(Base):
    """How many failed messages there are of a kind. Triggers on the replica keep it."""

    __tablename__ = "failure_counts"

    service: Mapped[str] = mapped_column(primary_key=True)
    heard_by: Mapped[str] = mapped_column(primary_key=True)
    type: Mapped[str] = mapped_column(primary_key=True)
    state: Mapped[FailedState] = mapped_column(primary_key=True)
    fingerprint: Mapped[str] = mapped_column(primary_key=True)
    count: Mapped[int] = mapped_column(BigInteger, comment="kept by triggers on failed_message_reference")


class InvoiceReference(Replica[InvoiceChanged], Base):
    """An invoice, to be found by its number."""

    __tablename__ = "invoice_reference"

    number: Mapped[str | None] = mapped_column(index=True)
    facility_id: Mapped[UUID]


class PatientReference(Replica[PatientChanged], Base):
    """A patient, to be found by the medical record number: whoever looks has it already, and is shown nothing else."""

    __tablename__ = "patient_reference"

    medical_record_number: Mapped[str] = mapped_column(index=True)
    facility_id: Mapped[UUID]


class UserReference(Replica[UserChanged], Base):
    """A user: what whoever asked for something is called."""

    __tablename__ = "user_reference"

    full_name: Mapped[str]


class FailureActionReference(Replica[FailureActionChanged], Base):
    """What somebody did about failed messages of a service, and how far it is."""

    __tablename__ = "failure_action_reference"
    __table_args__ = (Index(None, "began_at"),)

    service: Mapped[str]
    verb: Mapped[str]
    state: Mapped[str]
    asked_by: Mapped[str]
    why: Mapped[str]
    total: Mapped[int]
    outcomes: Mapped[Any] = mapped_column(JSONB)
    began_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]


class ServiceCopyReference(Replica[ServiceCopyChanged], Base):
    """A process that runs a service, as it described itself last; `id` says where: `lab@host:3004`."""

    __tablename__ = "service_copy_reference"

    service: Mapped[str]
    reported_at: Mapped[datetime]
    described: Mapped[Any] = mapped_column(JSONB, comment="the whole of what it said")

    @classmethod
    def kept(cls, event: ServiceCopyChanged) -> dict[str, Any]:
        """The event as it stands."""
        return {"service": event.service, "reported_at": event.reported_at, "described": event.model_dump(mode="json")}

    @property
    def state(self) -> ServiceCopyChanged:
        """What it said."""
        return ServiceCopyChanged.model_validate(self.described, extra="ignore")
