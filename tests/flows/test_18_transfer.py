"""A bill that is paid by a transfer on the Stellar network (flow 18, the platform's end of it): matched by its memo, or not."""

from __future__ import annotations

from typing import Any

import pytest

from broker.testing import Flow
from contracts.billing import CouponRedeemed, InvoiceChanged, InvoicePaid
from contracts.payment import PaymentInitiated, PaymentSucceeded, StellarPollDue
from services.payment.replicas import InvoiceReference
from tests.flows.hospital import Hospital, Reply, money
from tests.flows.outside import POLL
from tests.flows.running import Running


async def by_transfer(hospital: Hospital, invoice: Any) -> Reply:
    """The invoice is to be paid by a transfer with the memo that the payment names."""
    asked = {"invoice_id": invoice["invoice_id"], "amount": invoice["balance"]}
    return await hospital.ask("payment", "POST", "/payments/transfer", asked)


async def unmatched(hospital: Hospital) -> dict[str, str]:
    """What waits for a person, by the transfer: why."""
    headers = hospital.everywhere("billing_manager")
    listed = await hospital.ask("payment", "GET", "/unmatched-transfers", params={"status": "unmatched"}, headers=headers)
    return {each["transfer_id"]: each["reason"] for each in listed.items}


async def test_a_transfer_pays_the_rest_after_a_coupon(running: Running, flow: Flow, hospital: Hospital) -> None:
    """The coupon lowers the invoice, the ledger is read again in time, and what arrived is taken once."""
    invoice = await hospital.invoices(await hospital.registers())
    code = hospital.secret("SPRING")
    coupon = {
        "facility_id": hospital.id,
        "code": code,
        "stacking": "exclusive",
        "percent": "20",
        "valid_from": "2020-01-01",
        "valid_to": "2999-12-31",
        "most_redemptions": 1,
    }
    await hospital.ask("billing", "POST", "/coupons", coupon)
    redeem = hospital.ask("billing", "POST", f"/invoices/{invoice['invoice_id']}/coupons", {"code": code})
    async with flow.started_by(redeem) as f:
        redeemed = await f.published(CouponRedeemed, by="billing").once()
        assert str(redeemed.event.amount.amount) == "2.50"
        changed = await f.published(InvoiceChanged, by="billing").once()
        await f.replica(InvoiceReference, changed.event.invoice_id).reaches(open_amount=changed.event.balance.amount)
    left = await hospital.shows("billing", f"/invoices/{invoice['invoice_id']}")
    assert left["balance"] == money("10.00")
    async with flow.started_by(by_transfer(hospital, left)) as f:
        f.scheduled(StellarPollDue, within=POLL)
        payment = (await f.published(PaymentInitiated, by="payment").once()).event.payment_id
        await f.over()
        running.outside.ledger.arrives("10.0000000", f.result["memo"])
        await flow.advance(hours=1)
        await f.handled(await f.published(PaymentSucceeded, by="payment", payment_id=payment).once(), by="billing")
        await f.handled(await f.published(InvoicePaid, by="billing").once(), by=["clinical", "notification"])
        await flow.advance(hours=1)
        await f.over()
        await f.again(backwards=True)
    assert (await hospital.shows("billing", f"/invoices/{invoice['invoice_id']}"))["status"] == "paid"


@pytest.mark.parametrize(("asset", "is_known", "reason"), [("USDC", False, "memo_unknown"), ("MOON", True, "another_asset")])
async def test_what_cannot_be_matched_waits_for_a_person(
    running: Running, flow: Flow, hospital: Hospital, asset: str, is_known: bool, reason: str
) -> None:
    """A memo that nobody knows, or something that we do not take: the invoice stays open."""
    invoice = await hospital.invoices(await hospital.registers())
    async with flow.started_by(by_transfer(hospital, invoice)) as f:
        f.scheduled(StellarPollDue, within=POLL)
        await f.over()
        memo = f.result["memo"] if is_known else "nobody's"
        transfer = running.outside.ledger.arrives("12.5000000", memo, asset=asset)
        await flow.advance(hours=1)
        f.never(PaymentSucceeded)
        f.never(InvoicePaid)
    assert (await unmatched(hospital))[transfer] == reason
    assert (await hospital.shows("billing", f"/invoices/{invoice['invoice_id']}"))["status"] == "issued"
