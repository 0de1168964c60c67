"""Invoices and their lines."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Self
from uuid import UUID, uuid4

from sqlalchemy import ARRAY, CheckConstraint, ColumnElement, ForeignKey, UniqueConstraint, Uuid, and_, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column, relationship

from broker import StateOwner, publishes_state
from contracts.billing import InvoiceChanged, InvoiceKind, InvoiceStatus
from contracts.money import Money
from services.billing import rules
from services.billing.errors import InvoiceNotFound
from services.billing.tables.accounts import EncounterBill
from services.billing.tables.base import Base, FollowsMerges

NEVER_LESS_THAN_NOTHING = "allocated_amount >= 0 AND adjusted_amount >= 0 AND allocated_amount + adjusted_amount <= {total}"


class InvoiceLineItem(Base):
    """One line of an invoice. `balance` = amount − allocated − adjusted."""

    __tablename__ = "invoice_line_items"
    __table_args__ = (
        UniqueConstraint("invoice_id", "position"),
        CheckConstraint(NEVER_LESS_THAN_NOTHING.format(total="amount"), name="balance"),
    )

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

    @property
    def asked(self) -> Money:
        """What it asks for after adjustments, paid or not."""
        return Money(amount=self.amount - self.adjusted_amount, currency=self.currency)


@publishes_state(InvoiceChanged)
class Invoice(StateOwner, FollowsMerges, Base):
    """An invoice. `balance` = total − allocated − adjusted, and the same holds for its lines."""

    __tablename__ = "invoices"
    __table_args__ = (
        UniqueConstraint("facility_id", "number"),
        UniqueConstraint("facility_id", "external_reference"),
        CheckConstraint(NEVER_LESS_THAN_NOTHING.format(total="total_amount"), name="balance"),
        CheckConstraint(
            "status NOT IN ('paid', 'written_off') OR allocated_amount + adjusted_amount = total_amount", name="settled"
        ),
    )

    invoice_id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    patient_id: Mapped[UUID] = mapped_column(index=True)
    facility_id: Mapped[UUID]
    encounter_id: Mapped[UUID | None]
    kind: Mapped[InvoiceKind]
    status: Mapped[InvoiceStatus]
    number: Mapped[str | None]
    external_reference: Mapped[str | None]
    currency: Mapped[str]
    total_amount: Mapped[Decimal]
    allocated_amount: Mapped[Decimal]
    adjusted_amount: Mapped[Decimal]
    held_amount: Mapped[Decimal] = mapped_column(
        server_default="0", comment="of what is allocated, how much its payers dispute"
    )
    issued_at: Mapped[datetime | None]
    due_on: Mapped[date | None]
    paid_at: Mapped[datetime | None]
    void_reason: Mapped[str | None]
    collection_case_id: Mapped[UUID | None] = mapped_column(ForeignKey("collection_cases.case_id"), index=True)
    payments: Mapped[list[UUID]] = mapped_column(
        ARRAY(Uuid), default=list, server_default=text("'{}'::uuid[]"), comment="those that named it and have been heard of"
    )

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

    @property
    def asked(self) -> Money:
        """What it asks for after adjustments, paid or not."""
        return self.total - self.adjusted

    @property
    def on_hold(self) -> Money:
        """What was paid on it and is disputed."""
        return Money(amount=self.held_amount, currency=self.currency)

    @property
    def is_held(self) -> bool:
        """Whether it is left alone until a dispute is decided."""
        return self.held_amount > 0

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
    def of_cancelled(cls) -> ColumnElement[bool]:
        """Those that still ask for something of an encounter that did not take place: somebody has to take it back."""
        cancelled = select(EncounterBill.encounter_id).where(EncounterBill.cancelled_at.is_not(None))
        return and_(cls.encounter_id.in_(cancelled), cls.status != "void", cls.adjusted_amount < cls.total_amount)

    @classmethod
    def draft(
        cls, patient_id: UUID, facility_id: UUID, encounter_id: UUID | None, total: Money, *, recorded_for: UUID | None = None
    ) -> Self:
        """A new invoice over `total`, without its lines yet."""
        return cls(
            invoice_id=uuid4(),
            patient_id=patient_id,
            recorded_for=recorded_for or patient_id,
            facility_id=facility_id,
            encounter_id=encounter_id,
            kind="patient",
            status="draft",
            currency=total.currency,
            total_amount=total.amount,
            allocated_amount=Decimal(0),
            adjusted_amount=Decimal(0),
            held_amount=Decimal(0),
        )

    def take_in(self, payment_id: UUID) -> None:
        """Notes that a payment which names it has been heard of."""
        self.payments = [*self.payments, payment_id]

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
        self.status = rules.INVOICE.moved(self.status, to)

    def allocate(self, amount: Money) -> list[tuple[InvoiceLineItem, Money]]:
        """Settles up to `amount` of it; gives each line's share."""
        shares = rules.cover(amount, self.lines)
        for line, share in shares:
            line.allocated_amount += share.amount
            self.allocated_amount += share.amount
        self.status = rules.status_after_settling(self)
        return shares

    def release(self, line_id: UUID, amount: Money) -> None:
        """Takes back what was allocated to one of its lines; its state is for the caller to see to."""
        line = next(line for line in self.lines if line.line_id == line_id)
        line.allocated_amount -= amount.amount
        self.allocated_amount -= amount.amount

    def adjust(self, amount: Money) -> None:
        """Lowers its balance, spread over its lines. Raises AdjustmentIsMoreThanTheBalance."""
        for line, share in rules.spread(amount, self.lines):
            self.adjust_line(line, share)

    def adjust_line(self, line: InvoiceLineItem, amount: Money) -> None:
        """Lowers what one of its lines asks for."""
        line.adjusted_amount += amount.amount
        self.adjusted_amount += amount.amount
