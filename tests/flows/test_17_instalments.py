"""Invoices that are paid in parts, or are not (flow 17)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from broker.testing import Flow
from contracts.billing import BillingAccountSentToCollections, InvoicePaid
from contracts.payment import (
    InstallmentCheckDue,
    InstallmentDue,
    InstallmentOverdue,
    InstallmentPlanCompleted,
    InstallmentPlanDefaulted,
)
from tests.flows.hospital import Hospital, money
from tests.flows.till import agrees, pays_cash

MONTH = timedelta(days=31)


async def state_of(hospital: Hospital, invoice: Any) -> tuple[str, Any]:
    shown = await hospital.shows("billing", f"/invoices/{invoice['invoice_id']}")
    return shown["status"], shown["balance"]


async def plan_of(hospital: Hospital, plan: Any) -> Any:
    return await hospital.shows("payment", f"/installment-plans/{plan['plan_id']}")


async def test_the_final_instalment_closes_the_invoice_exactly(flow: Flow, hospital: Hospital) -> None:
    """Each is due on its day and paid before its grace is over; what did not divide is on the last."""
    person = await hospital.registers()
    invoice = await hospital.invoices(person)
    async with flow.started_by(agrees(hospital, invoice, 3, grace_days=60)) as f:
        plan = f.result
        assert [part["amount"] for part in plan["installments"]] == ["4.16", "4.16", "4.18"]
        for number, part in enumerate(plan["installments"], 1):
            await flow.advance(hours=1 if number == 1 else 31 * 24)
            due = await f.published(InstallmentDue, by="payment", number=number).once()
            await f.handled(due, by="notification")
            assert str(due.event.amount.amount) == part["amount"]
            [left] = await hospital.owed(person)
            await hospital.pays(left, "tok_visa", part["amount"])
            f.scheduled(InstallmentCheckDue, within=2 * MONTH)
            await f.over()
        await f.published(InstallmentPlanCompleted, by="payment").once()
        await f.published(InvoicePaid, by="billing").once()
        await f.published(InstallmentDue).times(3)
        f.never(InstallmentOverdue)
        f.never(InstallmentPlanDefaulted)
    assert (await plan_of(hospital, plan))["status"] == "completed"
    assert await state_of(hospital, invoice) == ("paid", money("0.00"))


async def test_missed_instalments_send_the_account_to_collections(flow: Flow, hospital: Hospital) -> None:
    """Due, overdue when the grace is over, and after two of them the plan is given up: the rest is due at once."""
    person = await hospital.registers()
    invoice = await hospital.invoices(person)
    async with flow.started_by(agrees(hospital, invoice, 4, grace_days=5, missed_until_default=2)) as f:
        plan = f.result
        await flow.advance(days=1)
        await f.handled(await f.published(InstallmentDue, by="payment", number=1).once(), by="notification")
        await pays_cash(hospital, person, "1.00", invoice)
        await flow.advance(days=6)
        await f.handled(await f.published(InstallmentOverdue, by="payment", number=1).once(), by="notification")
        f.scheduled(InstallmentCheckDue, within=MONTH)
        await f.over()
        await flow.advance(days=31)
        await f.published(InstallmentDue, by="payment").times(2)
        await f.published(InstallmentOverdue, by="payment").times(2)
        given_up = await f.published(InstallmentPlanDefaulted, by="payment").once()
        await f.handled(given_up, by=["billing", "notification"])
        sent = await f.published(BillingAccountSentToCollections, by="billing", patient_id=UUID(person.id)).once()
        await f.handled(sent, by="notification")
        f.never(InstallmentPlanCompleted)
    shown = await plan_of(hospital, plan)
    assert (shown["status"], shown["open_amount"]) == ("defaulted", money("11.50"))


async def test_money_on_account_settles_instalments(flow: Flow, hospital: Hospital) -> None:
    """Whatever lowers the invoice lowers what is due: who paid otherwise is asked for no more, nor sent to collections."""
    person = await hospital.registers()
    invoice = await hospital.invoices(person)
    on_account = {"invoice_id": None}
    async with flow.started_by(agrees(hospital, invoice, 4, grace_days=5, missed_until_default=1)) as f:
        plan = f.result
        f.scheduled(InstallmentCheckDue, within=3 * MONTH)
        await f.published(InstallmentDue, by="payment", number=1).once()
        await pays_cash(hospital, person, "6.26", on_account)
        await f.over()
        assert [(part["paid"], part["status"]) for part in (await plan_of(hospital, plan))["installments"]][:3] == [
            ("3.12", "paid"),
            ("3.12", "paid"),
            ("0.02", "scheduled"),
        ]
        await flow.advance(days=41)
        await f.over()
        await pays_cash(hospital, person, "6.24", on_account)
        await f.published(InstallmentPlanCompleted, by="payment").once()
        await f.published(InstallmentDue).once()
        f.never(InstallmentOverdue)
        f.never(BillingAccountSentToCollections)
    assert await state_of(hospital, invoice) == ("paid", money("0.00"))


async def test_a_plan_ends_when_its_invoice_is_given_up(flow: Flow, hospital: Hospital) -> None:
    """Nobody is asked for the second instalment of what is not open any more."""
    person = await hospital.registers()
    invoice = await hospital.invoices(person)
    async with flow.started_by(agrees(hospital, invoice, 2)) as f:
        plan = f.result
        await hospital.ask("billing", "POST", f"/invoices/{invoice['invoice_id']}/void", {"reason": "wrong payer"})
        await f.over()
        assert (await plan_of(hospital, plan))["status"] == "cancelled"
        await flow.advance(days=31)
        f.never(InstallmentDue, number=2)
        f.never(InstallmentOverdue)
