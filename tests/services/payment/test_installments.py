"""Invoices that are paid in parts."""

from __future__ import annotations

from datetime import date, timedelta
from uuid import uuid4

import pytest
from sqlalchemy import select

from broker import clock
from broker._tables import schedule
from contracts.billing import AdjustmentPosted, InvoicePaid, InvoiceVoided
from contracts.clinical import PatientMerged
from contracts.facility import FacilityChanged
from contracts.payment import (
    InstallmentCheckDue,
    InstallmentDue,
    InstallmentOverdue,
    InstallmentPlanCompleted,
    InstallmentPlanDefaulted,
)
from services.payment import commands
from services.payment.commands import Terms
from services.payment.errors import InvoiceCannotBePaid, InvoiceHasAPlanAlready, InvoiceIsBeingPaid
from services.payment.rules import RefundWord
from services.payment.tables import InstallmentPlan
from tests.services.kit import Workplace
from tests.services.payment.given import (
    FACILITY,
    INVOICE,
    NOON,
    OTHER_PATIENT,
    PATIENT,
    cash,
    initiated,
    invoice,
    paid_by_card,
    recorded,
    refund_asked,
    usd,
)

VOIDED = InvoiceVoided(invoice_id=INVOICE, patient_id=PATIENT, facility_id=FACILITY, reason="wrong")


async def agreed(payment: Workplace, count: int = 3, **terms: int) -> InstallmentPlan:
    """A plan of 100.00 from today on, every month."""
    async with payment.transaction() as session:
        asked = Terms(count=count, first_due_on=clock.now().date(), **terms)
        return await commands.agree_plan(session, INVOICE, asked, "clerk")


async def plan_of(payment: Workplace, plan: InstallmentPlan) -> InstallmentPlan:
    async with payment.transaction() as session:
        return await InstallmentPlan.seen(session, plan.plan_id)


async def come(payment: Workplace, day: date) -> None:
    """Business time reaches noon of a day, and what is due by then arrives, one after the other."""
    clock.shift += timedelta(days=(day - clock.now().date()).days)
    while True:
        async with payment.transaction() as session:
            due = select(schedule).where(schedule.c.due_at <= clock.now()).order_by(schedule.c.due_at).limit(1)
            row = (await session.execute(due)).one_or_none()
            if row is None:
                return
            await session.execute(schedule.delete().where(schedule.c.name == row.name))
        await payment.deliver(InstallmentCheckDue.read(row.body, row.version))


def states(plan: InstallmentPlan) -> list[tuple[str, str]]:
    return [(part.status, str(part.paid)) for part in plan.installments]


async def test_a_plan_is_of_what_is_open(payment: Workplace) -> None:
    """To the cent, of the invoice's patient and facility."""
    plan = await agreed(payment)
    assert (plan.patient_id, plan.facility_id, plan.open_amount) == (PATIENT, FACILITY, usd("100.00"))
    assert [str(part.amount) for part in plan.installments] == ["33.33", "33.33", "33.34"]


async def test_an_invoice_has_one_plan(payment: Workplace) -> None:
    """None while a payment of it is under way, and none if nothing is open."""
    begun = await initiated(payment, "10.00")
    with pytest.raises(InvoiceIsBeingPaid):
        await agreed(payment)
    async with payment.transaction() as session:
        await commands.cancel_payment(session, begun.payment_id, "cashier")
    await agreed(payment)
    with pytest.raises(InvoiceHasAPlanAlready):
        await agreed(payment)
    await payment.deliver(invoice("0.00", status="paid", version=2))
    with pytest.raises(InvoiceCannotBePaid):
        await agreed(payment)


async def test_an_instalment_is_due_on_its_day(payment: Workplace) -> None:
    """Once, with what is open of it; one that was paid by then is not."""
    plan = await agreed(payment)
    await come(payment, plan.installments[0].due_on)
    [first] = await payment.published(InstallmentDue)
    assert (first.number, first.amount, first.due_on) == (1, usd("33.33"), plan.installments[0].due_on)
    await recorded(payment, cash("60.00"))
    assert states(await plan_of(payment, plan)) == [("paid", "33.33"), ("scheduled", "26.67"), ("scheduled", "0.00")]
    await come(payment, plan.installments[1].due_on)
    [_, second] = await payment.published(InstallmentDue)
    assert (second.number, second.amount) == (2, usd("6.66"))
    assert await payment.published(InstallmentOverdue) == []


async def test_the_last_payment_completes_the_plan(payment: Workplace) -> None:
    """When its instalments are paid to the cent, and not before; then nothing is due any more."""
    plan = await agreed(payment)
    await recorded(payment, cash("99.99"))
    assert await payment.published(InstallmentPlanCompleted) == []
    await recorded(payment, cash("0.01", reference="till 2"))
    [completed] = await payment.published(InstallmentPlanCompleted)
    assert (completed.plan_id, completed.invoice_id) == (plan.plan_id, INVOICE)
    await come(payment, plan.installments[-1].due_on + timedelta(days=30))
    assert await payment.published(InstallmentDue) == []


async def test_an_instalment_is_overdue_after_its_grace(payment: Workplace) -> None:
    """Not on the last day of it; one that is paid late is no longer missed."""
    plan = await agreed(payment, grace_days=5)
    first = plan.installments[0].due_on
    await come(payment, first)
    await come(payment, first + timedelta(days=5))
    assert await payment.published(InstallmentOverdue) == []
    await come(payment, first + timedelta(days=6))
    [overdue] = await payment.published(InstallmentOverdue)
    assert (overdue.number, overdue.amount) == (1, usd("33.33"))
    await recorded(payment, cash("33.33"))
    await come(payment, plan.installments[1].due_on + timedelta(days=6))
    assert await payment.published(InstallmentPlanDefaulted) == []
    assert (await plan_of(payment, plan)).status == "active"


async def test_too_many_missed_instalments_end_the_plan(payment: Workplace) -> None:
    """The rest is due at once; nothing is said of the other instalments any more."""
    plan = await agreed(payment, missed_until_default=2)
    await recorded(payment, cash("3.33"))
    await come(payment, plan.installments[2].due_on + timedelta(days=30))
    [defaulted] = await payment.published(InstallmentPlanDefaulted)
    assert (defaulted.plan_id, defaulted.open_amount) == (plan.plan_id, usd("96.67"))
    assert [event.number for event in await payment.published(InstallmentOverdue)] == [1, 2]
    assert (await plan_of(payment, plan)).status == "defaulted"


async def test_a_check_that_comes_again_says_nothing_again(payment: Workplace) -> None:
    """Nor does one that comes too early."""
    plan = await agreed(payment)
    for number in (1, 1, 1, 2):
        await payment.deliver(InstallmentCheckDue(plan_id=plan.plan_id, number=number))
    assert [event.number for event in await payment.published(InstallmentDue)] == [1]
    assert await payment.published(InstallmentOverdue) == []


async def test_what_is_refunded_is_open_again(payment: Workplace) -> None:
    """The last instalments that it had settled; and they become due anew."""
    plan = await agreed(payment)
    paid = await paid_by_card(payment, "66.66")
    asked = await refund_asked(payment, paid, "40.00")
    async with payment.transaction() as session:
        await commands.hear_refund(session, asked.refund_id, RefundWord(outcome="succeeded", provider_refund_id="ref_1"))
    assert states(await plan_of(payment, plan)) == [("scheduled", "26.66"), ("scheduled", "0.00"), ("scheduled", "0.00")]
    await come(payment, plan.installments[0].due_on)
    [due] = await payment.published(InstallmentDue)
    assert due.amount == usd("6.67")


async def test_an_adjustment_shrinks_the_last_instalments(payment: Workplace) -> None:
    """So that the final payment closes the invoice exactly."""
    plan = await agreed(payment)
    adjusted = AdjustmentPosted(
        adjustment_id=uuid4(), invoice_id=INVOICE, patient_id=PATIENT, facility_id=FACILITY, amount=usd("40.00"), reason="x"
    )
    await payment.deliver(adjusted)
    assert [str(part.amount) for part in (await plan_of(payment, plan)).installments] == ["33.33", "26.67", "0.00"]
    await recorded(payment, cash("60.00"))
    assert len(await payment.published(InstallmentPlanCompleted)) == 1


async def test_a_plan_ends_with_its_invoice(payment: Workplace) -> None:
    """When it is void, or settled otherwise: then nobody is told that instalments were paid."""
    paid = InvoicePaid(
        invoice_id=INVOICE, patient_id=PATIENT, facility_id=FACILITY, encounter_id=None, amount=usd("100.00"), paid_at=NOON
    )
    for ends in (VOIDED, paid):
        plan = await agreed(payment)
        await payment.deliver(ends)
        assert (await plan_of(payment, plan)).status == "cancelled"
    await come(payment, clock.now().date() + timedelta(days=60))
    assert await payment.published(InstallmentDue) == []
    assert await payment.published(InstallmentPlanCompleted) == []


async def test_a_plan_follows_a_merge(payment: Workplace) -> None:
    """It is the other patient's."""
    plan = await agreed(payment)
    await payment.deliver(
        PatientMerged(patient_id=PATIENT, into_patient_id=OTHER_PATIENT, facility_id=FACILITY, merged_at=NOON)
    )
    assert (await plan_of(payment, plan)).patient_id == OTHER_PATIENT


async def test_a_day_begins_by_the_facilitys_clock(payment: Workplace) -> None:
    """In Kampala, three hours before it does in Greenwich."""
    kampala = FacilityChanged(
        facility_id=FACILITY,
        name="Kampala",
        kind="hospital",
        status="active",
        time_zone="Africa/Kampala",
        currency="USD",
        state_version=1,
    )
    await payment.deliver(kampala)
    await agreed(payment)
    async with payment.transaction() as session:
        begins = await session.scalar(select(schedule.c.due_at).order_by(schedule.c.due_at).limit(1))
    assert begins is not None
    assert begins.astimezone(clock.now().tzinfo).hour == 21


async def test_plans_over_http(payment: Workplace) -> None:
    """A clerk agrees them; a cashier only sees them."""
    asked = {"invoice_id": str(INVOICE), "count": 4, "first_due_on": clock.now().date().isoformat()}
    async with payment.client("billing_clerk", at=FACILITY) as clerk:
        made = await clerk.post("/installment-plans", json=asked)
        too_many = await clerk.post("/installment-plans", json=asked | {"count": 61})
    async with payment.client("cashier", at=FACILITY) as cashier:
        shown = await cashier.get(f"/installment-plans/{made.json()['plan_id']}")
        [listed] = (await cashier.get("/installment-plans", params={"status": "active"})).json()["items"]
        not_theirs = await cashier.post("/installment-plans", json=asked)
    assert (made.status_code, too_many.status_code, not_theirs.status_code) == (201, 422, 403)
    assert made.json() == shown.json() == listed
    assert [part["amount"] for part in listed["installments"]] == ["25.00"] * 4
