"""Paying in parts: what is agreed, what payments settle, and how it ends."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from broker import clock, publish, schedule, unschedule
from contracts.money import Money
from contracts.payment import (
    InstallmentCheckDue,
    InstallmentDue,
    InstallmentOverdue,
    InstallmentPlanCompleted,
    InstallmentPlanDefaulted,
)
from services.payment import rules
from services.payment.commands.beginning import under_way
from services.payment.commands.days import day_at, start_at
from services.payment.commands.patients import surviving_patient
from services.payment.errors import InvoiceHasAPlanAlready
from services.payment.replicas import InvoiceReference
from services.payment.tables import InstallmentPlan, Payment, ScheduledInstallment

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
    """What was paid on an invoice settles the instalments of its plan, the oldest first."""
    plan = await _plan_of(session, payment)
    if plan is not None:
        await _apply(session, plan, plan.paid + payment.captured_value)
        if not plan.open_amount:
            await _end(session, plan, "completed")
            publish(session, InstallmentPlanCompleted.of(plan, completed_at=plan.ended_at))


async def take_back(session: AsyncSession, payment: Payment, amount: Money) -> None:
    """Money that had settled instalments is gone again: the last ones that it settled are open."""
    plan = await _plan_of(session, payment)
    if plan is not None:
        await _apply(session, plan, max(plan.paid - amount.amount, NOTHING))


async def relieve(session: AsyncSession, invoice_id: UUID, amount: Money) -> None:
    """Less is asked for on an invoice: the last instalments of its plan shrink, so that the final payment closes it exactly."""
    plan = await InstallmentPlan.active_of(session, invoice_id)
    if plan is None:
        return
    parts = plan.installments
    shrunk = rules.relieved([part.amount for part in parts], [part.paid for part in parts], amount.amount)
    for part, now in zip(parts, shrunk, strict=True):
        part.amount = now
    await _apply(session, plan, plan.paid)
    if not plan.open_amount:
        await _end(session, plan, "cancelled")


async def end_plan(session: AsyncSession, invoice_id: UUID) -> None:
    """Nothing is due any more on an invoice that is void, or that was settled otherwise."""
    plan = await InstallmentPlan.active_of(session, invoice_id)
    if plan is not None:
        await _end(session, plan, "cancelled")


async def check_installment(session: AsyncSession, plan_id: UUID, number: int) -> None:
    """Looks what was paid when an instalment's day, or the end of its grace, has come."""
    plan = await InstallmentPlan.locked(session, plan_id)
    part = plan.installments[number - 1]
    if plan.status != "active":
        return
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


async def _plan_of(session: AsyncSession, payment: Payment) -> InstallmentPlan | None:
    plan = None if payment.invoice_id is None else await InstallmentPlan.active_of(session, payment.invoice_id)
    return plan if plan is not None and plan.currency == payment.currency else None


async def _apply(session: AsyncSession, plan: InstallmentPlan, paid: Decimal) -> None:
    """Spreads all that was paid over the instalments."""
    for part, settled in zip(plan.installments, rules.settled([each.amount for each in plan.installments], paid), strict=True):
        part.paid = settled
        if part.open and part.status == "paid":
            part.move("scheduled")
            await _look_again(session, plan, part, part.due_on)
        elif not part.open and part.status != "paid":
            part.move("paid")
            await unschedule(session, _name(plan, part))


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
