"""What happens to money after it was paid or before it is, as the staff of a facility sees to it."""

from __future__ import annotations

from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

from broker import clock
from tests.flows.hospital import HOUSE, Hospital, Person, Reply, money

COLLEAGUE = uuid4()
"""The second person wherever one is needed."""


def today() -> str:
    """The day in the house, which is ahead of UTC's late in the evening: tests move the clock to any hour."""
    return clock.now().astimezone(ZoneInfo(HOUSE["time_zone"])).date().isoformat()


async def by_colleague(hospital: Hospital, service: str, path: str) -> Reply:
    """Somebody else than `hospital.ask` asks for it."""
    headers = {"Authorization": f"Bearer {hospital.token(service, user=COLLEAGUE)}"}
    return await hospital.ask(service, "POST", path, headers=headers)


async def takes(hospital: Hospital, person: Person, amount: str, invoice: Any, *, method: str) -> Reply:
    """Money was received by hand, or on the account; nobody has counted it yet."""
    taken = {
        "reference": str(uuid4()),
        "patient_id": person.id,
        "facility_id": hospital.id,
        "invoice_id": invoice["invoice_id"],
        "amount": money(amount),
        "method": method,
    }
    return await hospital.ask("payment", "POST", "/payments/recorded", taken)


async def takes_cash(hospital: Hospital, person: Person, amount: str, invoice: Any) -> Reply:
    """Cash lies in the till; nobody has counted it yet."""
    return await takes(hospital, person, amount, invoice, method="cash")


async def pays_cash(hospital: Hospital, person: Person, amount: str, invoice: Any) -> Reply:
    """Cash was taken by one and counted by another."""
    taken = await takes_cash(hospital, person, amount, invoice)
    return await by_colleague(hospital, "payment", f"/payments/{taken['payment_id']}/verify")


async def refunds(hospital: Hospital, payment: Reply, amount: str) -> Reply:
    """Money of a payment is to go back."""
    asked = {"amount": money(amount), "reason": "charged twice"}
    return await hospital.ask("payment", "POST", f"/payments/{payment['payment_id']}/refunds", asked)


async def agrees(hospital: Hospital, invoice: Any, count: int, **terms: int) -> Reply:
    """An invoice is to be paid in parts, from today on."""
    asked = {"invoice_id": invoice["invoice_id"], "count": count, "first_due_on": today(), **terms}
    return await hospital.ask("payment", "POST", "/installment-plans", asked)


async def dispute_of(hospital: Hospital, payment: Reply) -> Any:
    """The dispute of a payment."""
    params = {"payment_id": payment["payment_id"]}
    [dispute] = (await hospital.ask("payment", "GET", "/disputes", params=params)).items
    return dispute


async def answers(hospital: Hospital, dispute: Any, text: str) -> Reply:
    """The payer's bank is told our side."""
    return await hospital.ask("payment", "POST", f"/disputes/{dispute['dispute_id']}/evidence", {"text": text})


async def settles(hospital: Hospital, *lines: dict[str, Any]) -> Reply:
    """The card provider's settlement of today is taken."""
    asked = {"facility_id": hospital.id, "provider": "card", "day": today(), "lines": lines}
    return await hospital.ask("payment", "POST", "/settlements", asked)


async def something_of_everything(hospital: Hospital, person: Person) -> dict[str, str]:
    """A refund, a dispute, a plan and a mismatch: their ids, by the names that routes have for them."""
    disputed = await hospital.pays(await hospital.invoices(person), "tok_dispute")
    other = await hospital.registers()
    invoice = await hospital.invoices(other)
    plan = await agrees(hospital, invoice, 2)
    refund = await refunds(hospital, await hospital.pays(invoice, "tok_visa", "1.00"), "0.50")
    await settles(hospital)
    [finding, *_] = (await hospital.ask("payment", "GET", "/reconciliation")).items
    return {
        "refund_id": refund["refund_id"],
        "dispute_id": (await dispute_of(hospital, disputed))["dispute_id"],
        "plan_id": plan["plan_id"],
        "reconciliation_id": finding["reconciliation_id"],
    }
