"""Invoices that are paid in parts."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from sqlalchemy import select, update

from broker import clock
from broker._tables import schedule
from contracts.billing import InvoiceStatus
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
from services.payment.replicas import InvoiceReference
from services.payment.rules import DisputeWord, RefundWord
from services.payment.tables import InstallmentPlan, Payment
from tests.services.kit import Workplace
from tests.services.payment.given import (
    FACILITY,
    INVOICE,
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


async def gone(payment: Workplace, paid: Payment, amount: str, *, by: str) -> None:
    """Money of a payment goes back to its payer; billing has yet to say what that opens again."""
    if by == "refund":
        asked = await refund_asked(payment, paid, amount)
        async with payment.transaction() as session:
            await commands.hear_refund(session, asked.refund_id, RefundWord(outcome="succeeded", provider_refund_id="ref_1"))
    else:
        known = {"provider_dispute_id": "dp_1", "amount": usd(amount), "reason": "fraudulent", "evidence_due_at": clock.now()}
        async with payment.transaction() as session:
            await commands.hear_dispute(session, paid.payment_id, DisputeWord.model_validate({"outcome": "lost", **known}))


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
    """Once nothing is open on the invoice, to the cent, and not before; then nothing is due any more."""
    plan = await agreed(payment)
    paid = [(await recorded(payment, cash(amount, reference=amount))).payment_id for amount in ("99.99", "0.01")]
    assert {status for status, _ in states(await plan_of(payment, plan))} == {"paid"}
    await payment.deliver(invoice("0.01", status="partially_paid", version=2, payments=(paid[0],)))
    assert await payment.published(InstallmentPlanCompleted) == []
    await payment.deliver(invoice("0.00", status="paid", version=3, payments=tuple(paid)))
    [completed] = await payment.published(InstallmentPlanCompleted)
    assert (completed.plan_id, completed.invoice_id) == (plan.plan_id, INVOICE)
    await come(payment, plan.installments[-1].due_on + timedelta(days=30))
    assert await payment.published(InstallmentDue) == []


async def test_money_settles_instalments_once(payment: Workplace) -> None:
    """When it comes, and not again when billing has heard of it; together with what else was paid meanwhile."""
    plan = await agreed(payment)
    first = await recorded(payment, cash("40.00"))
    assert states(await plan_of(payment, plan)) == [("paid", "33.33"), ("scheduled", "6.67"), ("scheduled", "0.00")]
    second = await recorded(payment, cash("20.00", reference="till 2"))
    for version, (left, heard) in enumerate((("60.00", (first,)), ("40.00", (first, second))), 2):
        paid = tuple(each.payment_id for each in heard)
        await payment.deliver(invoice(left, status="partially_paid", version=version, payments=paid))
        assert states(await plan_of(payment, plan)) == [("paid", "33.33"), ("scheduled", "26.67"), ("scheduled", "0.00")]


async def test_whatever_lowers_the_invoice_settles_instalments(payment: Workplace) -> None:
    """Money on account, a credit, an adjustment: nobody is asked for what is not open, and no plan is given up for it."""
    plan = await agreed(payment, missed_until_default=1)
    await payment.deliver(invoice("60.00", status="partially_paid", version=2))
    assert states(await plan_of(payment, plan)) == [("paid", "33.33"), ("scheduled", "6.67"), ("scheduled", "0.00")]
    await come(payment, plan.installments[0].due_on + timedelta(days=20))
    assert await payment.published(InstallmentDue) == []
    await come(payment, plan.installments[1].due_on)
    assert [event.amount for event in await payment.published(InstallmentDue)] == [usd("26.66")]


async def test_an_invoice_speaks_for_itself_when_an_instalment_is_looked_at(payment: Workplace) -> None:
    """Also where the reference was filled, and nobody heard that the invoice was lowered."""
    plan = await agreed(payment)
    async with payment.transaction() as session:
        await session.execute(update(InvoiceReference).values(open_amount=60, state_version=2))
    await come(payment, plan.installments[0].due_on)
    assert await payment.published(InstallmentDue) == []


async def test_of_the_invoice_and_its_reference_the_newer_counts(payment: Workplace) -> None:
    """Each comes by a queue of its own."""
    plan = await agreed(payment)
    for said, settled in ((invoice("60.00", version=3), "40.00"), (invoice("90.00", version=1), "0.00")):
        async with payment.transaction() as session:
            await commands.follow_invoice(session, INVOICE, said)
        assert (await plan_of(payment, plan)).open_amount == usd("100.00") - usd(settled)


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
    await payment.deliver(invoice("33.34", status="partially_paid", version=2, payments=(paid.payment_id,)))
    await gone(payment, paid, "40.00", by="refund")
    await payment.deliver(invoice("73.34", status="partially_paid", version=3, payments=(paid.payment_id,)))
    assert states(await plan_of(payment, plan)) == [("scheduled", "26.66"), ("scheduled", "0.00"), ("scheduled", "0.00")]
    await come(payment, plan.installments[0].due_on)
    [due] = await payment.published(InstallmentDue)
    assert due.amount == usd("6.67")


@pytest.mark.parametrize("by", ["refund", "dispute"])
async def test_what_was_paid_before_the_plan_and_goes_back_is_open_beside_it(payment: Workplace, by: str) -> None:
    """What the plan's payer has paid since stays paid; the plan ends when that is paid too."""
    before = await paid_by_card(payment, "20.00")
    await payment.deliver(invoice("80.00", status="partially_paid", version=2, payments=(before.payment_id,)))
    plan = await agreed(payment, 2)
    first = await recorded(payment, cash("40.00"))
    heard = (before.payment_id, first.payment_id)
    await payment.deliver(invoice("40.00", status="partially_paid", version=3, payments=heard))
    await gone(payment, before, "20.00", by=by)
    await payment.deliver(invoice("60.00", status="partially_paid", version=4, payments=heard))
    assert states(await plan_of(payment, plan)) == [("paid", "40.00"), ("scheduled", "0.00")]
    second = await recorded(payment, cash("40.00", reference="till 2"))
    all_heard = (*heard, second.payment_id)
    await payment.deliver(invoice("20.00", status="partially_paid", version=5, payments=all_heard))
    assert states(await plan_of(payment, plan)) == [("paid", "40.00"), ("paid", "40.00")]
    assert (await plan_of(payment, plan)).status == "active"
    await payment.deliver(invoice("0.00", status="paid", version=6, payments=all_heard))
    assert len(await payment.published(InstallmentPlanCompleted)) == 1


@pytest.mark.parametrize("status", ["void", "written_off"])
async def test_a_plan_ends_with_its_invoice(payment: Workplace, status: InvoiceStatus) -> None:
    """When nobody will pay it any more: nothing is due, and nobody is told that instalments were paid."""
    plan = await agreed(payment)
    await payment.deliver(invoice("100.00" if status == "void" else "0.00", status=status, version=2))
    ended = await plan_of(payment, plan)
    assert (ended.status, ended.open_amount) == ("cancelled", usd("100.00"))
    await come(payment, clock.now().date() + timedelta(days=60))
    assert await payment.published(InstallmentDue) == []
    assert await payment.published(InstallmentPlanCompleted) == []


async def test_a_plan_is_of_the_invoices_patient(payment: Workplace) -> None:
    """Whom it is merged into, and whose it is again when that is taken back."""
    plan = await agreed(payment)
    for version, patient_id in enumerate((OTHER_PATIENT, PATIENT), 2):
        await payment.deliver(invoice("100.00", version=version, patient_id=patient_id))
        assert (await plan_of(payment, plan)).patient_id == patient_id


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
    clock.shift += timedelta(hours=(12 - clock.now().hour) % 24)  # an hour at which it is the same day in both
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
