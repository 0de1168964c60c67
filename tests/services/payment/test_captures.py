"""Holding money on a card, and taking it in parts or not at all, against the simulated provider."""

from __future__ import annotations

import pytest

from contracts.billing import InvoiceVoided
from contracts.payment import PaymentAuthorized, PaymentCancelled, PaymentFailed, PaymentSucceeded
from nilecare.simulator import CardSimulator
from services.payment import commands
from services.payment.errors import AmountIsMoreThanIsHeld, CaptureIsUnderWay, OnlyHeldMoneyIsCaptured
from services.payment.rules import Word
from services.payment.tables import Payment
from tests.services.kit import Workplace
from tests.services.payment.given import FACILITY, INVOICE, PATIENT, hear, initiated, payment_of, usd
from tests.waiting import until

VOIDED = InvoiceVoided(invoice_id=INVOICE, patient_id=PATIENT, facility_id=FACILITY, reason="wrong")


async def held(payment: Workplace, amount: str) -> Payment:
    """A payment that is authorised, to be captured by hand."""
    begun = await initiated(payment, amount, "tok_visa", capture="manual")
    return await when(payment, begun, "requires_capture")


async def when(payment: Workplace, begun: Payment, status: str, captured: str | None = None) -> Payment:
    """The payment in this state, when the provider was asked for nothing that it has not answered."""

    async def is_there() -> bool:
        found = await payment_of(payment, begun.payment_id)
        is_reached = found.status == status and (captured is None or found.captured == usd(captured))
        return is_reached and not found.is_asked

    await until(is_there)
    return await payment_of(payment, begun.payment_id)


async def capture(payment: Workplace, begun: Payment, amount: str | None, *, is_final: bool) -> None:
    async with payment.transaction() as session:
        money = usd(amount) if amount else None
        await commands.capture_payment(session, begun.payment_id, money, is_final=is_final)


async def cancel(payment: Workplace, begun: Payment) -> None:
    async with payment.transaction() as session:
        await commands.cancel_payment(session, begun.payment_id, "cashier")


async def test_held_money_is_taken_in_parts(payment: Workplace, simulator: CardSimulator) -> None:
    """It has succeeded with the last part, of as much as was taken: what was not is released."""
    begun = await held(payment, "100.00")
    await capture(payment, begun, "30.00", is_final=False)
    await when(payment, begun, "partially_captured", "30.00")
    assert await payment.published(PaymentSucceeded) == []
    with pytest.raises(AmountIsMoreThanIsHeld):
        await capture(payment, begun, "70.01", is_final=True)
    await capture(payment, begun, "20.00", is_final=False)
    await when(payment, begun, "partially_captured", "50.00")
    await capture(payment, begun, "10.00", is_final=True)
    await when(payment, begun, "succeeded", "60.00")
    await simulator.webhooks.idle()
    [event] = await payment.published(PaymentSucceeded)
    assert event.amount == usd("60.00")
    [taken] = simulator.ledger.payments.values()
    assert (taken.status, str(taken.captured)) == ("captured", "60.00")
    with pytest.raises(OnlyHeldMoneyIsCaptured):
        await capture(payment, begun, "1.00", is_final=True)


async def test_all_that_is_held_is_taken_if_nothing_is_said(payment: Workplace, simulator: CardSimulator) -> None:
    """To the cent."""
    begun = await held(payment, "99.99")
    await capture(payment, begun, None, is_final=True)
    await when(payment, begun, "succeeded", "99.99")


async def test_held_money_is_released(payment: Workplace, simulator: CardSimulator) -> None:
    """At the provider, and the invoice can be paid by another card."""
    begun = await held(payment, "100.00")
    await cancel(payment, begun)
    await when(payment, begun, "cancelled")
    await simulator.webhooks.idle()
    [taken] = simulator.ledger.payments.values()
    assert taken.status == "cancelled"
    assert len(await payment.published(PaymentCancelled)) == 1
    assert await payment.published(PaymentSucceeded) == []
    await initiated(payment, "100.00")


async def test_what_was_taken_in_part_stays_when_the_rest_is_released(payment: Workplace, simulator: CardSimulator) -> None:
    """The payment has succeeded with that."""
    begun = await held(payment, "100.00")
    await capture(payment, begun, "30.00", is_final=False)
    await when(payment, begun, "partially_captured")
    await cancel(payment, begun)
    await when(payment, begun, "succeeded", "30.00")
    assert await payment.published(PaymentCancelled) == []


async def test_the_provider_is_asked_one_thing_at_a_time(payment: Workplace) -> None:
    """While it has not answered a capture, neither another one nor a release is asked for."""
    begun = await initiated(payment, "100.00", "tok_visa", capture="manual")
    await hear(payment, begun, Word(outcome="authorised", provider_payment_id="pay_1"))
    await capture(payment, begun, "30.00", is_final=False)
    with pytest.raises(CaptureIsUnderWay):
        await capture(payment, begun, "30.00", is_final=False)
    with pytest.raises(CaptureIsUnderWay):
        await cancel(payment, begun)


async def test_a_late_authorisation_for_a_voided_invoice_is_released(payment: Workplace, simulator: CardSimulator) -> None:
    """Nobody's card is charged for an invoice that never counted."""
    begun = await initiated(payment, "100.00", "tok_slow")
    await payment.deliver(VOIDED)
    await when(payment, begun, "cancelled")
    await simulator.webhooks.idle()
    assert len(await payment.published(PaymentAuthorized)) == 1
    assert await payment.published(PaymentSucceeded) == []
    assert await payment.published(PaymentFailed) == []


async def test_what_is_held_for_a_voided_invoice_is_released(payment: Workplace, simulator: CardSimulator) -> None:
    """By itself."""
    begun = await held(payment, "100.00")
    await payment.deliver(VOIDED)
    await when(payment, begun, "cancelled")
