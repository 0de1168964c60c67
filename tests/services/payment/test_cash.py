"""Cash: taken by one person, counted by another."""

from __future__ import annotations

import pytest

from contracts.billing import InvoiceVoided
from contracts.payment import PaymentCancelled, PaymentInitiated, PaymentSucceeded
from services.payment import commands
from services.payment.errors import AmountIsMoreThanTheOpenBalance, CashNeedsASecondPerson, PaymentCannotBecome
from services.payment.tables import Payment
from tests.services.kit import Workplace
from tests.services.payment.given import FACILITY, INVOICE, PATIENT, cash, colleague, initiated, payment_of, usd
from tests.services.payment.test_api import AT_THE_DESK


async def taken(payment: Workplace, amount: str, *, by: str = "first") -> Payment:
    async with payment.transaction() as session:
        return await commands.take_cash(session, cash(amount), by)


async def verified(payment: Workplace, begun: Payment, by: str) -> Payment:
    async with payment.transaction() as session:
        return await commands.verify_cash(session, begun.payment_id, by)


async def test_cash_is_ours_when_a_second_person_has_counted_it(payment: Workplace) -> None:
    """Not before: nobody hears that it succeeded until then; and once."""
    begun = await taken(payment, "40.00")
    assert (begun.status, await payment.published(PaymentSucceeded)) == ("requires_action", [])
    with pytest.raises(CashNeedsASecondPerson):
        await verified(payment, begun, "first")
    assert (await verified(payment, begun, "second")).verified_by == "second"
    with pytest.raises(PaymentCannotBecome):
        await verified(payment, begun, "third")
    [event] = await payment.published(PaymentSucceeded)
    assert (event.amount, event.method) == (usd("40.00"), "cash")
    assert len(await payment.published(PaymentInitiated)) == 1


async def test_cash_takes_no_card(payment: Workplace) -> None:
    """What lies in the till is not asked of a card as well: PaymentCannotBecome."""
    begun = await taken(payment, "40.00")
    with pytest.raises(PaymentCannotBecome):
        async with payment.transaction() as session:
            await commands.provide_card(session, begun.payment_id, "tok_visa")


async def test_cash_that_is_taken_twice_is_one_payment(payment: Workplace) -> None:
    """By its reference."""
    assert (await taken(payment, "40.00")).payment_id == (await taken(payment, "40.00")).payment_id


async def test_cash_in_the_till_claims_its_part_of_the_balance(payment: Workplace) -> None:
    """Before it is counted, a card cannot pay the same."""
    await taken(payment, "40.00")
    with pytest.raises(AmountIsMoreThanTheOpenBalance):
        await initiated(payment, "60.01")


async def test_cash_is_given_back_by_a_second_person(payment: Workplace) -> None:
    """Or who took it could keep it."""
    begun = await taken(payment, "40.00")
    with pytest.raises(CashNeedsASecondPerson):
        async with payment.transaction() as session:
            await commands.cancel_payment(session, begun.payment_id, "first")
    async with payment.transaction() as session:
        await commands.cancel_payment(session, begun.payment_id, "second")
    assert [event.payment_id for event in await payment.published(PaymentCancelled)] == [begun.payment_id]


async def test_cash_for_a_voided_invoice_stays_in_the_till(payment: Workplace) -> None:
    """It is still counted; what it was for is billing's to say."""
    begun = await taken(payment, "40.00")
    await payment.deliver(InvoiceVoided(invoice_id=INVOICE, patient_id=PATIENT, facility_id=FACILITY, reason="wrong"))
    assert (await payment_of(payment, begun.payment_id)).status == "requires_action"
    assert (await verified(payment, begun, "second")).status == "succeeded"


async def test_four_eyes_are_two_tokens(payment: Workplace) -> None:
    """Who asks is who the token says."""
    async with payment.client("cashier", at=FACILITY) as cashier, colleague(payment, "cashier") as second:
        path = f"/payments/{(await cashier.post('/payments/recorded', json=AT_THE_DESK)).json()['payment_id']}/verify"
        alone, together = await cashier.post(path), await second.post(path)
    assert (alone.status_code, alone.json()["type"]) == (409, "urn:nilecare:rule:CashNeedsASecondPerson")
    assert (together.status_code, together.json()["taken_by"], together.json()["verified_by"]) == (200, "tester", "colleague")
