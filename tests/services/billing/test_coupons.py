"""Coupons: who may redeem them, how often, and what they take off."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select

from broker import clock
from contracts.billing import AdjustmentPosted, CouponExpiryDue, CouponRedeemed
from services.billing import commands
from services.billing.errors import (
    CouponCodeIsTaken,
    CouponIsNotActive,
    CouponsDoNotStack,
    CouponWasRedeemedOnThisInvoice,
    NothingIsLeftToDiscount,
    OnlyAnIssuedInvoiceIsLowered,
    PatientUsedTheCouponUp,
    RedemptionKeyIsTaken,
)
from services.billing.tables import Coupon, CouponRedemption, Invoice
from tests.services.billing.given import FACILITY, decisions, invoice_of, invoiced, paid, scheduled, usd
from tests.services.kit import Workplace

TODAY = clock.now().date()
YEAR_END = TODAY + timedelta(days=365)


async def made(billing: Workplace, code: str = "WELCOME", **terms: Any) -> Coupon:
    terms = dict[str, Any](percent=Decimal(10), most_redemptions=5, stacking="stackable") | terms
    async with billing.transaction() as session:
        return await commands.make_coupon(
            session, facility_id=FACILITY, code=code, valid_from=TODAY, valid_to=YEAR_END, **terms
        )


async def redeemed(billing: Workplace, invoice: Invoice, code: str = "WELCOME", *, key: str | None = None) -> CouponRedemption:
    async with billing.transaction() as session:
        return await commands.redeem_coupon(session, invoice.invoice_id, code, key=key, by="clerk")


async def coupon_of(billing: Workplace, coupon: Coupon) -> Coupon:
    async with billing.transaction() as session:
        return await Coupon.locked(session, coupon.coupon_id)


async def test_a_coupon_lowers_the_invoice(billing: Workplace) -> None:
    """By its part of the total, rounded half to even, the residual on the last line; and says so."""
    coupon = await made(billing, percent=Decimal("12.5"))
    invoice = await invoiced(billing, "3.33", "3.33", "3.34")
    redemption = await redeemed(billing, invoice)
    after = await invoice_of(billing, invoice.invoice_id)
    assert (redemption.amount, after.balance) == (Decimal("1.25"), usd("8.75"))
    assert [line.adjusted_amount for line in after.lines] == [Decimal("0.42"), Decimal("0.42"), Decimal("0.41")]
    [event] = await billing.published(CouponRedeemed)
    assert (event.coupon_id, event.amount, event.invoice_id) == (coupon.coupon_id, usd("1.25"), invoice.invoice_id)
    assert [event.amount for event in await billing.published(AdjustmentPosted)] == [usd("1.25")]
    assert await decisions(billing) == [("coupon_redeemed", "clerk", Decimal("1.25"))]


async def test_a_coupon_over_an_amount_takes_no_more_than_is_open(billing: Workplace) -> None:
    """The invoice is then settled; on one where nothing is open it cannot be redeemed."""
    await made(billing, percent=None, amount=usd("20.00"))
    invoice, settled = await invoiced(billing, "15.00"), await invoiced(billing, "1.00")
    assert (await redeemed(billing, invoice)).amount == Decimal("15.00")
    assert (await invoice_of(billing, invoice.invoice_id)).status == "paid"
    await billing.deliver(paid("1.00", invoice_id=settled.invoice_id))
    with pytest.raises(NothingIsLeftToDiscount):
        await redeemed(billing, settled)


async def test_the_last_use_is_one_use(billing: Workplace) -> None:
    """Two who redeem it at once: one does, the other is told that it is used up."""
    coupon = await made(billing, most_redemptions=1)
    invoices = [await invoiced(billing, "10.00") for _ in range(2)]
    results = await asyncio.gather(*(redeemed(billing, invoice) for invoice in invoices), return_exceptions=True)
    assert sorted(type(result).__name__ for result in results) == ["CouponIsNotActive", "CouponRedemption"]
    assert (await coupon_of(billing, coupon)).status == "exhausted"
    assert len(await billing.published(CouponRedeemed)) == 1


async def test_one_key_is_one_redemption(billing: Workplace) -> None:
    """The same key again gives the same redemption; on another invoice it is refused."""
    await made(billing)
    invoice, other = await invoiced(billing, "10.00"), await invoiced(billing, "10.00")
    first = await redeemed(billing, invoice, key="k1")
    again = await redeemed(billing, invoice, key="k1")
    assert first.redemption_id == again.redemption_id
    assert (await invoice_of(billing, invoice.invoice_id)).balance == usd("9.00")
    with pytest.raises(RedemptionKeyIsTaken):
        await redeemed(billing, other, key="k1")
    with pytest.raises(CouponWasRedeemedOnThisInvoice):
        await redeemed(billing, invoice, key="k2")


async def test_a_patient_redeems_a_coupon_only_so_often(billing: Workplace) -> None:
    """Whatever is left of it for others."""
    await made(billing, most_per_patient=1)
    invoice, other = await invoiced(billing, "10.00"), await invoiced(billing, "10.00")
    await redeemed(billing, invoice)
    with pytest.raises(PatientUsedTheCouponUp):
        await redeemed(billing, other)


async def test_an_exclusive_coupon_is_alone(billing: Workplace) -> None:
    """After another it is refused, and another after it; stackable ones add up."""
    await made(billing, "ALONE", stacking="exclusive")
    await made(billing, "ONE")
    await made(billing, "TWO")
    first, second = await invoiced(billing, "10.00"), await invoiced(billing, "10.00")
    await redeemed(billing, first, "ONE")
    await redeemed(billing, first, "TWO")
    assert (await invoice_of(billing, first.invoice_id)).balance == usd("8.00")
    with pytest.raises(CouponsDoNotStack):
        await redeemed(billing, first, "ALONE")
    await redeemed(billing, second, "ALONE")
    with pytest.raises(CouponsDoNotStack):
        await redeemed(billing, second, "ONE")


async def test_a_coupon_expires_with_its_last_day(billing: Workplace) -> None:
    """It tells itself; one that was revoked stays revoked."""
    expiring, revoked = await made(billing), await made(billing, "OTHER")
    name = f"coupon {expiring.coupon_id} expires"
    assert (await scheduled(billing))[name].date() == YEAR_END + timedelta(days=1)
    async with billing.transaction() as session:
        await commands.revoke_coupon(session, revoked.coupon_id)
    assert list(await scheduled(billing)) == [name]
    for coupon in (expiring, revoked):
        await billing.deliver(CouponExpiryDue(coupon_id=coupon.coupon_id))
    assert [(await coupon_of(billing, coupon)).status for coupon in (expiring, revoked)] == ["expired", "revoked"]
    invoice = await invoiced(billing, "10.00")
    for code in ("WELCOME", "OTHER"):
        with pytest.raises(CouponIsNotActive):
            await redeemed(billing, invoice, code)


async def test_a_code_names_one_coupon_of_a_facility(billing: Workplace) -> None:
    """A second one is refused."""
    await made(billing)
    with pytest.raises(CouponCodeIsTaken):
        await made(billing)
    async with billing.transaction() as session:
        assert list(await session.scalars(select(Coupon.code))) == ["WELCOME"]


async def test_a_voided_invoice_takes_no_coupon(billing: Workplace) -> None:
    """It never counted; the coupon can be used elsewhere."""
    coupon = await made(billing)
    invoice = await invoiced(billing, "10.00")
    async with billing.transaction() as session:
        await commands.void_invoice(session, invoice.invoice_id, "wrong", by="clerk")
    with pytest.raises(OnlyAnIssuedInvoiceIsLowered):
        await redeemed(billing, invoice)
    assert (await coupon_of(billing, coupon)).redemptions == 0
