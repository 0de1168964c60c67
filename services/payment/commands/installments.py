"""Paying in parts: what is agreed, what of it is settled, and how it ends."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from uuid import UUID, uuid4

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from broker import clock, publish, schedule, unschedule
from contracts.billing import InvoiceChanged
from contracts.money import Money
from contracts.payment import (
    InstallmentCheckDue,
    InstallmentDue,
    InstallmentOverdue,
    InstallmentPlanCompleted,
    InstallmentPlanDefaulted,
)
from services.payment import rules
from services.payment.commands.beginning import under_way, unheard
from services.payment.commands.days import day_at, start_at
from services.payment.commands.patients import surviving_patient
from services.payment.errors import InvoiceHasAPlanAlready
from services.payment.replicas import InvoiceReference
from services.payment.tables import InstallmentPlan, Payment, PaymentDispute, PaymentRefund, ScheduledInstallment

NOTHING = Decimal("0.00")


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What is agreed with a payer."""

    count: int
    first_due_on: date
    grace_days: int = rules.GRACE_DAYS
    missed_until_default: int = rules.MISSED_UNTIL_DEFAULT


async def agree_plan(session: AsyncSession, invoice_id: UUID, terms: Terms, by: str) -> InstallmentPlan:
    """Cuts what is open on an invoice into instalments.

    Raises NotYet while the invoice is not known here, InvoiceCannotBePaid, InvoiceHasAPlanAlready, and what
    `rules.agreed_parts` raises.
    """
    invoice = await InvoiceReference.locked(session, invoice_id)
    rules.check_open(invoice.state)
    if await InstallmentPlan.active_of(session, invoice_id) is not None:
        raise InvoiceHasAPlanAlready
    parts = rules.agreed_parts(
        invoice.balance,
        terms.count,
        terms.first_due_on,
        today=await day_at(session, invoice.facility_id, clock.now()),
        under_way=await under_way(session, invoice),
    )
    plan = InstallmentPlan(
        plan_id=uuid4(),
        invoice_id=invoice_id,
        patient_id=await surviving_patient(session, invoice.patient_id),
        facility_id=invoice.facility_id,
        currency=invoice.currency,
        status="active",
        grace_days=terms.grace_days,
        missed_until_default=terms.missed_until_default,
        agreed_by=by,
        agreed_at=clock.now(),
        installments=[
            ScheduledInstallment(
                number=part.number, due_on=part.due_on, amount=part.amount.amount, paid=NOTHING, status="scheduled"
            )
            for part in parts
        ],
    )
    session.add(plan)
    for part in plan.installments:
        await _look_again(session, plan, part, part.due_on)
    return plan


async def settle_installments(session: AsyncSession, payment: Payment) -> None:
    """What was paid on an invoice settles the instalments of its plan before billing has said so."""
    if payment.invoice_id is not None:
        await follow_invoice(session, payment.invoice_id)


async def follow_invoice(session: AsyncSession, invoice_id: UUID, said: InvoiceChanged | None = None) -> None:
    """What is not open on an invoice any more is settled of its plan; a plan ends with its invoice.

    said: what billing says of it; without that, what is known here.
    """
    plan = await InstallmentPlan.active_of(session, invoice_id)
    if plan is not None:
        await _follow(session, plan, said)


async def check_installment(session: AsyncSession, plan_id: UUID, number: int) -> None:
    """Looks what is settled when an instalment's day, or the end of its grace, has come."""
    plan = await InstallmentPlan.locked(session, plan_id)
    if plan.status == "active":
        await _follow(session, plan)
    if plan.status != "active":
        return
    part = plan.installments[number - 1]
    today = await day_at(session, plan.facility_id, clock.now())
    overdue_on = part.due_on + timedelta(days=plan.grace_days + 1)
    if part.status == "scheduled" and today >= part.due_on:
        part.move("due")
        publish(session, InstallmentDue.of(plan, **_said_of(plan, part)))
        await _look_again(session, plan, part, overdue_on)
    elif part.status == "due" and today >= overdue_on:
        part.move("overdue")
        publish(session, InstallmentOverdue.of(plan, **_said_of(plan, part)))
        await _give_up(session, plan)


async def _follow(session: AsyncSession, plan: InstallmentPlan, said: InvoiceChanged | None = None) -> None:
    invoice = await InvoiceReference.newest(session, plan.invoice_id, said)
    if invoice is None:
        return
    ends_as = rules.ENDS_AS.get(invoice.state)
    plan.patient_id = await surviving_patient(session, invoice.patient_id)
    if ends_as != "cancelled":
        await _settle(session, plan, invoice.balance - await unheard(session, invoice))
    if ends_as is not None:
        await _end(session, plan, ends_as)
    if ends_as == "completed":
        publish(session, InstallmentPlanCompleted.of(plan, completed_at=plan.ended_at))


async def _settle(session: AsyncSession, plan: InstallmentPlan, open_amount: Money) -> None:
    """Spreads all that is settled over the instalments."""
    amounts = [part.amount for part in plan.installments]
    parts = rules.settled(amounts, open_amount.amount, returned=await _returned(session, plan))
    for part, settled in zip(plan.installments, parts, strict=True):
        part.paid = settled
        if part.open and part.status == "paid":
            part.move("scheduled")
            await _look_again(session, plan, part, part.due_on)
        elif not part.open and part.status != "paid":
            part.move("paid")
            await unschedule(session, _name(plan, part))


async def _returned(session: AsyncSession, plan: InstallmentPlan) -> Decimal:
    """What was paid on the invoice before the plan was agreed, and went back since."""
    before = [Payment.invoice_id == plan.invoice_id, Payment.currency == plan.currency]
    before += [Payment.initiated_at < plan.agreed_at, Payment.succeeded_at <= plan.agreed_at]
    refund, dispute = PaymentRefund, PaymentDispute
    refunded = select(func.sum(refund.value)).join(Payment, Payment.payment_id == refund.payment_id)
    lost = select(func.sum(dispute.value)).join(Payment, Payment.payment_id == dispute.payment_id)
    gone = [
        await session.scalar(refunded.where(*before, refund.status == "succeeded", refund.succeeded_at >= plan.agreed_at)),
        await session.scalar(lost.where(*before, dispute.status == "lost", dispute.decided_at >= plan.agreed_at)),
    ]
    return sum((amount for amount in gone if amount is not None), Decimal(0))


async def _give_up(session: AsyncSession, plan: InstallmentPlan) -> None:
    if rules.is_defaulted([part.status for part in plan.installments], plan.missed_until_default):
        await _end(session, plan, "defaulted")
        publish(session, InstallmentPlanDefaulted.of(plan, defaulted_at=plan.ended_at))


async def _end(session: AsyncSession, plan: InstallmentPlan, status: rules.PlanStatus) -> None:
    plan.move(status)
    plan.ended_at = clock.now()
    for part in plan.installments:
        await unschedule(session, _name(plan, part))


async def _look_again(session: AsyncSession, plan: InstallmentPlan, part: ScheduledInstallment, day: date) -> None:
    at = await start_at(session, plan.facility_id, day)
    await schedule(session, InstallmentCheckDue(plan_id=plan.plan_id, number=part.number), at=at, name=_name(plan, part))


def _said_of(plan: InstallmentPlan, part: ScheduledInstallment) -> dict[str, object]:
    return {"number": part.number, "amount": Money.of(part.open, plan.currency), "due_on": part.due_on}


def _name(plan: InstallmentPlan, part: ScheduledInstallment) -> str:
    return f"instalment {plan.plan_id} {part.number}"
