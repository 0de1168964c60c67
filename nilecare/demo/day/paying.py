"""What is paid, and how: by card, in cash, in parts; given back, or disputed."""

from __future__ import annotations

from collections import Counter
from datetime import date
from itertools import count
from typing import Any

from nilecare.demo.day.desk import until
from nilecare.demo.day.hospital import Hospital
from nilecare.demo.day.visits import Visit

CARDS = (
    "tok_visa",
    "tok_declined",
    "tok_lost_answer",
    "tok_duplicate_webhook",
    "tok_webhook_first",
    "tok_insufficient_funds",
    "tok_lost_answer_and_webhook",
    "tok_webhook_reversed",
    "tok_capture_declined",
    "tok_slow",
)
"""What happens to those who pay by card, one after the other; the simulated provider knows these tokens."""

ANOTHER_CARD = "tok_visa"


class Desk:
    """Where invoices are paid. `cards` counts those that were tried, `declined` the payments that needed another one."""

    def __init__(self, hospital: Hospital) -> None:
        self._hospital = hospital
        self._numbers = count()
        self.cards: Counter[str] = Counter()
        self.declined = 0

    async def invoice_of(self, visit: Visit) -> dict[str, Any]:
        """The invoice of a visit that is over, once billing has made it."""

        async def found() -> dict[str, Any] | None:
            clerk = self._hospital.the("billing_clerk")
            invoices = await clerk.list("billing", "/invoices", patient_id=visit.patient_id)
            return next((one for one in invoices if one["encounter_id"] == visit.encounter_id and one["number"]), None)

        return await until("an invoice", found)

    async def by_card(self, invoice: dict[str, Any], token: str | None = None) -> dict[str, Any]:
        """Pays all that is open; with another card when one is declined. Gives the payment that succeeded."""
        token = token or CARDS[next(self._numbers) % len(CARDS)]
        payment = await self._card(invoice["invoice_id"], invoice["balance"], token)
        if payment["status"] == "failed":
            self.declined += 1
            payment = await self._card(invoice["invoice_id"], invoice["balance"], ANOTHER_CARD)
        return payment

    async def in_cash(self, invoice: dict[str, Any]) -> None:
        """One cashier takes the money, another one counts it."""
        asked = {
            "reference": f"receipt {invoice['number']} of {invoice['facility_id']}",
            "patient_id": invoice["patient_id"],
            "facility_id": invoice["facility_id"],
            "invoice_id": invoice["invoice_id"],
            "amount": invoice["balance"],
            "method": "cash",
        }
        flow = self._hospital.flow("Cash is taken by one cashier and counted by another")
        payment = await self._hospital.as_("cashier", "payment", "/payments/recorded", asked, flow=flow)
        verify = f"/payments/{payment['payment_id']}/verify"
        await self._hospital.another("cashier").ask("payment", "POST", verify, flow=flow)

    async def in_parts(self, invoice: dict[str, Any], today: date) -> dict[str, Any]:
        """A plan of three instalments is agreed, and the first one paid at once; gives the plan."""
        asked = {"invoice_id": invoice["invoice_id"], "count": 3, "first_due_on": today.isoformat()}
        flow = self._hospital.flow("An invoice is paid in instalments")
        plan = await self._hospital.as_("billing_clerk", "payment", "/installment-plans", asked, flow=flow)
        await self.instalment(plan, 1)
        return dict(plan)

    async def instalment(self, plan: dict[str, Any], number: int) -> None:
        """One part of a plan is paid by card."""
        part = next(one for one in plan["installments"] if one["number"] == number)
        await self._card(plan["invoice_id"], {"amount": part["amount"], "currency": plan["currency"]}, ANOTHER_CARD)

    async def disputed(self, invoice: dict[str, Any], *, won: bool) -> None:
        """A payer tells the bank that they did not mean to pay; the hospital says why they did, and is believed or not."""
        shows = "A dispute is won" if won else "A dispute is lost, and the invoice open again"
        payment = await self._card(invoice["invoice_id"], invoice["balance"], "tok_dispute", shows)

        async def opened() -> dict[str, Any] | None:
            disputes = await self._hospital.the("billing_manager").list("payment", "/disputes")
            return next((one for one in disputes if one["payment_id"] == payment["payment_id"]), None)

        dispute = await until("a dispute", opened)
        evidence = {"text": "winning_evidence" if won else "losing_evidence"}
        path = f"/disputes/{dispute['dispute_id']}/evidence"
        await self._hospital.as_("billing_manager", "payment", path, evidence)

    async def refunded(self, payment: dict[str, Any], amount: str) -> None:
        """Some of a payment goes back."""
        asked = {"amount": {"amount": amount, "currency": payment["amount"]["currency"]}, "reason": "charged too much"}
        flow = self._hospital.flow("A refund opens an invoice again")
        path = f"/payments/{payment['payment_id']}/refunds"
        await self._hospital.as_("billing_manager", "payment", path, asked, flow=flow)

    async def _card(
        self, invoice_id: str, amount: dict[str, str], token: str, shows: str = "An invoice is paid by card"
    ) -> dict[str, Any]:
        """The payment, when it is known how it ended."""
        if token in {"tok_declined", "tok_insufficient_funds", "tok_capture_declined"}:
            shows = "A card is declined"
        asked = {"invoice_id": invoice_id, "amount": amount, "token": token}
        payment = await self._hospital.as_("cashier", "payment", "/payments", asked, flow=self._hospital.flow(shows))
        self.cards[token] += 1

        async def ended() -> dict[str, Any] | None:
            path = f"/payments/{payment['payment_id']}"
            seen: dict[str, Any] = await self._hospital.the("cashier").ask("payment", "GET", path)
            return seen if seen["status"] in {"succeeded", "failed"} else None

        return await until("the end of a payment", ended)
