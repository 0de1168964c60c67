"""Invoices that are paid in parts, or are not (flow 17)."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

from tests.flows.hospital import Hospital, money
from tests.flows.running import Running
from tests.flows.till import agrees, pays_cash

MONTH = timedelta(days=31)


async def state_of(hospital: Hospital, invoice: Any) -> tuple[str, Any]:
    shown = await hospital.shows("billing", f"/invoices/{invoice['invoice_id']}")
    return shown["status"], shown["balance"]


async def told_of(running: Running, plan: Any) -> Counter[str]:
    """What payment has said of a plan, and how often."""
    about = "SELECT type FROM backbone.published WHERE key = :key AND type <> 'installment.check_due'"
    return Counter(row.type for row in await running.rows("payment", about, key=plan["plan_id"]))


async def test_the_final_instalment_closes_the_invoice_exactly(running: Running, hospital: Hospital) -> None:
    """Each is due on its day and paid before its grace is over; what did not divide is on the last."""
    person = await hospital.registers()
    invoice = await hospital.invoices(person)
    plan = await agrees(hospital, invoice, 3, grace_days=60)
    assert [part["amount"] for part in plan["installments"]] == ["4.16", "4.16", "4.18"]
    for number, part in enumerate(plan["installments"], 1):
        await running.move_clock(timedelta(hours=1) if number == 1 else MONTH)
        assert (await told_of(running, plan))["installment.due"] == number
        [left] = await hospital.owed(person)
        await hospital.pays(left, "tok_visa", part["amount"])
    assert await told_of(running, plan) == {"installment.due": 3, "installment.plan.completed": 1}
    assert (await hospital.shows("payment", f"/installment-plans/{plan['plan_id']}"))["status"] == "completed"
    assert await state_of(hospital, invoice) == ("paid", money("0.00"))


async def test_missed_instalments_send_the_account_to_collections(running: Running, hospital: Hospital) -> None:
    """Due, overdue when the grace is over, and after two of them the plan is given up: the rest is due at once."""
    person = await hospital.registers()
    invoice = await hospital.invoices(person)
    plan = await agrees(hospital, invoice, 4, grace_days=5, missed_until_default=2)
    await running.move_clock(timedelta(days=1))
    await pays_cash(hospital, person, "1.00", invoice)
    await running.move_clock(timedelta(days=6))
    assert await told_of(running, plan) == {"installment.due": 1, "installment.overdue": 1}
    await running.move_clock(MONTH)
    assert await told_of(running, plan) == {"installment.due": 2, "installment.overdue": 2, "installment.plan.defaulted": 1}
    shown = await hospital.shows("payment", f"/installment-plans/{plan['plan_id']}")
    assert (shown["status"], shown["open_amount"]) == ("defaulted", money("11.50"))
    sent = "SELECT type FROM backbone.published WHERE key = :key AND type = 'billing.account.sent_to_collections'"
    assert len(await running.rows("billing", sent, key=person.id)) == 1


async def test_money_on_account_settles_instalments(running: Running, hospital: Hospital) -> None:
    """Whatever lowers the invoice lowers what is due: who paid otherwise is asked for no more, nor sent to collections."""
    person = await hospital.registers()
    invoice = await hospital.invoices(person)
    plan = await agrees(hospital, invoice, 4, grace_days=5, missed_until_default=1)
    await pays_cash(hospital, person, "6.26", {"invoice_id": None})
    shown = await hospital.shows("payment", f"/installment-plans/{plan['plan_id']}")
    assert [(part["paid"], part["status"]) for part in shown["installments"]][:3] == [
        ("3.12", "paid"),
        ("3.12", "paid"),
        ("0.02", "scheduled"),
    ]
    await running.move_clock(MONTH + timedelta(days=10))
    assert await told_of(running, plan) == {"installment.due": 1}
    await pays_cash(hospital, person, "6.24", {"invoice_id": None})
    assert await told_of(running, plan) == {"installment.due": 1, "installment.plan.completed": 1}
    assert await state_of(hospital, invoice) == ("paid", money("0.00"))


async def test_a_plan_ends_when_its_invoice_is_given_up(running: Running, hospital: Hospital) -> None:
    """Nobody is asked for the second instalment of what is not open any more."""
    person = await hospital.registers()
    invoice = await hospital.invoices(person)
    plan = await agrees(hospital, invoice, 2)
    await hospital.ask("billing", "POST", f"/invoices/{invoice['invoice_id']}/void", {"reason": "wrong payer"})
    assert (await hospital.shows("payment", f"/installment-plans/{plan['plan_id']}"))["status"] == "cancelled"
    await running.move_clock(MONTH)
    assert await told_of(running, plan) == {"installment.due": 1}
