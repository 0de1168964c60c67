"""The tables that billing owns."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Self, cast
from uuid import UUID, uuid4

from sqlalchemy import Date, DateTime, ForeignKey, Index, MetaData, Numeric, Text, UniqueConstraint, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from broker import StateOwner, clock, publishes_state
from contracts.billing import InvoiceChanged, InvoiceKind, InvoiceStatus
from contracts.money import Money
from contracts.payment import PaymentSucceeded
from services.billing import rules
from services.billing.errors import InvoiceNotFound


class Base(DeclarativeBase):
    """Every table of billing."""

    metadata = MetaData(
        naming_convention={
            "pk": "%(table_name)s_pkey",
            "uq": "%(table_name)s_%(column_0_N_name)s_key",
            "ix": "%(table_name)s_%(column_0_N_name)s_idx",
            "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
        }
    )
    type_annotation_map = {  # noqa: RUF012 (read by SQLAlchemy from the class)
        str: Text,
        InvoiceStatus: Text,
        InvoiceKind: Text,
        Decimal: Numeric(14, 2),
        date: Date,
        datetime: DateTime(timezone=True),
    }


class BillingAccount(Base):
    """A patient's account. One that was merged points to where everything of it went."""

    __tablename__ = "billing_accounts"

    patient_id: Mapped[UUID] = mapped_column(primary_key=True)
    facility_id: Mapped[UUID]
    merged_into: Mapped[UUID | None]
    opened_at: Mapped[datetime]

    @classmethod
    async def opened(cls, session: AsyncSession, patient_id: UUID, facility_id: UUID, *, alone: bool = False) -> Self:
        """The patient's account, opened if there is none yet.

        It is locked so that the patient cannot be merged meanwhile; `alone` keeps everybody else out, to merge.
        """
        row = {"patient_id": patient_id, "facility_id": facility_id, "opened_at": clock.now()}
        await session.execute(insert(cls).values(row).on_conflict_do_nothing())
        query = select(cls).where(cls.patient_id == patient_id).with_for_update(read=not alone)
        return (await session.scalars(query.execution_options(populate_existing=True))).one()


class ChargeMasterPrice(Base):
    """What a service costs at a facility, from a day on: until the next price begins, or `effective_to`."""

    __tablename__ = "charge_master"
    __table_args__ = (UniqueConstraint("facility_id", "code", "effective_from"),)

    price_id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    facility_id: Mapped[UUID]
    code: Mapped[str]
    amount: Mapped[Decimal]
    currency: Mapped[str]
    effective_from: Mapped[date]
    effective_to: Mapped[date | None]

    @property
    def price(self) -> Money:
        """For one unit."""
        return Money(amount=self.amount, currency=self.currency)


class EncounterBill(Base):
    """An encounter that is billed for: the lock under which its charges come in and are invoiced."""

    __tablename__ = "encounter_bills"

    encounter_id: Mapped[UUID] = mapped_column(primary_key=True)
    discharged_at: Mapped[datetime | None]

    @classmethod
    async def locked(cls, session: AsyncSession, encounter_id: UUID) -> Self:
        """The row of an encounter, made if there is none yet, for this transaction alone."""
        await session.execute(insert(cls).values(encounter_id=encounter_id).on_conflict_do_nothing())
        query = select(cls).where(cls.encounter_id == encounter_id).with_for_update()
        return (await session.scalars(query.execution_options(populate_existing=True))).one()


class Charge(Base):
    """One service given to a patient, to be invoiced once it has a price: unpriced → open → invoiced."""

    __tablename__ = "charges"

    charge_id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    source_event_id: Mapped[UUID] = mapped_column(index=True, comment="the event that caused it; the inbox keeps it single")
    position: Mapped[int] = mapped_column(comment="of the test in its order")
    order_id: Mapped[UUID]
    encounter_id: Mapped[UUID | None] = mapped_column(index=True)
    patient_id: Mapped[UUID] = mapped_column(index=True)
    facility_id: Mapped[UUID]
    code: Mapped[str]
    description: Mapped[str]
    service_date: Mapped[date]
    status: Mapped[str]
    amount: Mapped[Decimal | None]
    currency: Mapped[str | None]

    @property
    def price(self) -> Money:
        """What it costs, once it is priced."""
        return Money(amount=cast("Decimal", self.amount), currency=cast("str", self.currency))

    @classmethod
    async def open_ones(
        cls, session: AsyncSession, patient_id: UUID, facility_id: UUID, encounter_id: UUID | None
    ) -> Sequence[Self]:
        """What can be invoiced of a patient's encounter, or outside any, locked, in the order of an invoice's lines."""
        of_visit = [cls.encounter_id.is_not_distinct_from(encounter_id), cls.status == "open"]
        query = select(cls).where(cls.patient_id == patient_id, cls.facility_id == facility_id, *of_visit)
        in_order = query.order_by(cls.service_date, cls.order_id, cls.position)
        return (await session.scalars(in_order.with_for_update())).all()

    def price_at(self, price: Money | None) -> None:
        """Gives it a price, which opens it; without one it stays unpriced."""
        self.status = "unpriced" if price is None else "open"
        self.amount = None if price is None else price.amount
        self.currency = None if price is None else price.currency


Index("charges_unpriced_idx", Charge.facility_id, Charge.code, postgresql_where=Charge.status == "unpriced")


class InvoiceNumber(Base):
    """The last invoice number of a facility. Its row is locked until the invoice commits: no gap, no double."""

    __tablename__ = "invoice_numbers"

    facility_id: Mapped[UUID] = mapped_column(primary_key=True)
    last: Mapped[int]

    @classmethod
    async def draw(cls, session: AsyncSession, facility_id: UUID) -> int:
        """The facility's next number."""
        counter = insert(cls).values(facility_id=facility_id, last=1)
        advanced = counter.on_conflict_do_update(index_elements=[cls.facility_id], set_={"last": cls.last + 1})
        return (await session.scalars(advanced.returning(cls.last))).one()


class InvoiceLineItem(Base):
    """One line of an invoice. `balance` = amount − allocated − adjusted."""

    __tablename__ = "invoice_line_items"
    __table_args__ = (UniqueConstraint("invoice_id", "position"),)

    line_id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    invoice_id: Mapped[UUID] = mapped_column(ForeignKey("invoices.invoice_id"))
    position: Mapped[int]
    priority: Mapped[int] = mapped_column(comment="lines of a lower one are paid first")
    charge_id: Mapped[UUID | None] = mapped_column(ForeignKey("charges.charge_id"), index=True)
    code: Mapped[str]
    description: Mapped[str]
    quantity: Mapped[Decimal]
    amount: Mapped[Decimal]
    allocated_amount: Mapped[Decimal]
    adjusted_amount: Mapped[Decimal]
    currency: Mapped[str]

    @property
    def balance(self) -> Money:
        """What is still open of it."""
        return Money(amount=self.amount - self.allocated_amount - self.adjusted_amount, currency=self.currency)


@publishes_state(InvoiceChanged)
class Invoice(StateOwner, Base):
    """An invoice. `balance` = total − allocated − adjusted, and the same holds for its lines."""

    __tablename__ = "invoices"
    __table_args__ = (UniqueConstraint("facility_id", "number"),)

    invoice_id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    patient_id: Mapped[UUID] = mapped_column(index=True)
    facility_id: Mapped[UUID]
    encounter_id: Mapped[UUID | None]
    kind: Mapped[InvoiceKind]
    status: Mapped[InvoiceStatus]
    number: Mapped[str | None]
    external_reference: Mapped[str | None] = mapped_column(unique=True)
    currency: Mapped[str]
    total_amount: Mapped[Decimal]
    allocated_amount: Mapped[Decimal]
    adjusted_amount: Mapped[Decimal]
    issued_at: Mapped[datetime | None]
    due_on: Mapped[date | None]
    paid_at: Mapped[datetime | None]
    void_reason: Mapped[str | None]

    lines: Mapped[list[InvoiceLineItem]] = relationship(lazy="selectin", order_by=InvoiceLineItem.position)

    @property
    def total(self) -> Money:
        """What it asks for."""
        return Money(amount=self.total_amount, currency=self.currency)

    @property
    def allocated(self) -> Money:
        """What was paid on it."""
        return Money(amount=self.allocated_amount, currency=self.currency)

    @property
    def adjusted(self) -> Money:
        """What will not be asked for after all."""
        return Money(amount=self.adjusted_amount, currency=self.currency)

    @property
    def balance(self) -> Money:
        """What is still open."""
        return self.total - self.allocated - self.adjusted

    @classmethod
    async def locked(cls, session: AsyncSession, invoice_id: UUID) -> Self:
        """The invoice, for this transaction alone. Raises InvoiceNotFound."""
        found = await cls.all_locked(session, cls.invoice_id == invoice_id)
        if not found:
            raise InvoiceNotFound(invoice_id=invoice_id)
        return found[0]

    @classmethod
    async def all_locked(cls, session: AsyncSession, *conditions: object) -> Sequence[Self]:
        """Those that meet the conditions, locked in the order of their ids."""
        query = select(cls).where(*conditions).order_by(cls.invoice_id)  # type: ignore[arg-type]
        return (await session.scalars(query.with_for_update(of=cls).execution_options(populate_existing=True))).all()

    @classmethod
    def draft(cls, patient_id: UUID, facility_id: UUID, encounter_id: UUID | None, total: Money) -> Self:
        """A new invoice over `total`, without its lines yet."""
        return cls(
            invoice_id=uuid4(),
            patient_id=patient_id,
            facility_id=facility_id,
            encounter_id=encounter_id,
            kind="patient",
            status="draft",
            currency=total.currency,
            total_amount=total.amount,
            allocated_amount=Decimal(0),
            adjusted_amount=Decimal(0),
        )

    def add_line(
        self,
        code: str,
        description: str,
        amount: Money,
        *,
        quantity: Decimal = Decimal(1),
        priority: int = 0,
        charge_id: UUID | None = None,
    ) -> None:
        """Adds a line at the end; lines of a lower priority are paid first."""
        line = InvoiceLineItem(
            position=len(self.lines),
            priority=priority,
            charge_id=charge_id,
            code=code,
            description=description,
            quantity=quantity,
            amount=amount.amount,
            allocated_amount=Decimal(0),
            adjusted_amount=Decimal(0),
            currency=amount.currency,
        )
        self.lines.append(line)

    def move(self, to: InvoiceStatus) -> None:
        """Changes its state. Raises InvoiceCannotBecome."""
        self.status = rules.moved(self.status, to)

    def allocate(self, amount: Money) -> list[tuple[InvoiceLineItem, Money]]:
        """Settles up to `amount` of it; gives each line's share."""
        shares = rules.cover(amount, self.lines)
        for line, share in shares:
            line.allocated_amount += share.amount
            self.allocated_amount += share.amount
        self.status = rules.status_after_settling(self)
        return shares

    def adjust(self, amount: Money) -> None:
        """Lowers its balance, spread over its lines. Raises AdjustmentIsMoreThanTheBalance."""
        for line, share in rules.spread(amount, self.lines):
            line.adjusted_amount += share.amount
            self.adjusted_amount += share.amount


class Receipt(Base):
    """Money that payment told us of: what it settled are its allocations, what it did not is a credit."""

    __tablename__ = "receipts"

    receipt_id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    source_event_id: Mapped[UUID] = mapped_column(index=True, comment="the event that told us; the inbox keeps it single")
    payment_id: Mapped[UUID] = mapped_column(index=True)
    amount: Mapped[Decimal]
    currency: Mapped[str]
    received_at: Mapped[datetime]

    @classmethod
    def of(cls, payment: PaymentSucceeded, source_event_id: UUID) -> Self:
        """The receipt of a payment."""
        return cls(
            receipt_id=uuid4(),
            source_event_id=source_event_id,
            payment_id=payment.payment_id,
            amount=payment.amount.amount,
            currency=payment.amount.currency,
            received_at=payment.succeeded_at,
        )


class InvoicePaymentAllocation(Base):
    """What one payment settled of one line."""

    __tablename__ = "invoice_payment_allocations"

    allocation_id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    source_event_id: Mapped[UUID] = mapped_column(index=True, comment="the event that told us; the inbox keeps it single")
    receipt_id: Mapped[UUID] = mapped_column(ForeignKey("receipts.receipt_id"), index=True)
    invoice_id: Mapped[UUID] = mapped_column(ForeignKey("invoices.invoice_id"), index=True)
    line_id: Mapped[UUID] = mapped_column(ForeignKey("invoice_line_items.line_id"))
    payment_id: Mapped[UUID]
    amount: Mapped[Decimal]
    currency: Mapped[str]

    @classmethod
    def of(cls, receipt: Receipt, line: InvoiceLineItem, share: Money) -> Self:
        """The allocation of a share of a receipt to a line."""
        return cls(
            source_event_id=receipt.source_event_id,
            receipt_id=receipt.receipt_id,
            invoice_id=line.invoice_id,
            line_id=line.line_id,
            payment_id=receipt.payment_id,
            amount=share.amount,
            currency=share.currency,
        )


class Credit(Base):
    """Money of a patient that settled nothing yet."""

    __tablename__ = "credits"

    credit_id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    source_event_id: Mapped[UUID] = mapped_column(index=True, comment="the event that told us; the inbox keeps it single")
    receipt_id: Mapped[UUID] = mapped_column(ForeignKey("receipts.receipt_id"), index=True)
    patient_id: Mapped[UUID] = mapped_column(index=True)
    facility_id: Mapped[UUID]
    invoice_id: Mapped[UUID | None] = mapped_column(ForeignKey("invoices.invoice_id"), comment="what the payer meant to pay")
    payment_id: Mapped[UUID]
    amount: Mapped[Decimal]
    currency: Mapped[str]


class BillingAdjustment(Base):
    """A part of an invoice that will not be asked for, why, and who decided it."""

    __tablename__ = "billing_adjustments"

    adjustment_id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    invoice_id: Mapped[UUID] = mapped_column(ForeignKey("invoices.invoice_id"), index=True)
    amount: Mapped[Decimal]
    currency: Mapped[str]
    reason: Mapped[str]
    posted_by: Mapped[str]
    approved_by: Mapped[str | None]
    posted_at: Mapped[datetime]
