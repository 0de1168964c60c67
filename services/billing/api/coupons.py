"""Coupons over HTTP."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select

from broker import Idempotent, Page, PageRequest, Reading, Router, Transaction
from services.billing import commands, tables, views
from services.billing.api.roles import Manager, Reader, seen

router = Router()


@router.post("/coupons", status_code=201)
async def make_coupon(asked: views.NewCoupon, who: Manager, session: Transaction, key: Idempotent) -> views.Coupon:
    """Makes a coupon of a facility."""
    who.at(asked.facility_id)
    return views.Coupon.model_validate(await commands.make_coupon(session, **dict(asked)))


@router.get("/coupons")
async def list_coupons(who: Reader, session: Reading, page: PageRequest) -> Page[views.Coupon]:
    """Coupons, by code."""
    coupon = tables.Coupon
    query = select(coupon).where(who.within(coupon.facility_id))
    return await page.read(session, query, by=[coupon.code, coupon.coupon_id], view=views.Coupon.model_validate)


@router.post("/coupons/{coupon_id}/revoke")
async def revoke_coupon(coupon_id: UUID, who: Manager, session: Transaction) -> views.Coupon:
    """Nobody redeems it any more."""
    await seen(session, tables.Coupon, coupon_id, who)
    return views.Coupon.model_validate(await commands.revoke_coupon(session, coupon_id))


@router.post("/invoices/{invoice_id}/coupons", status_code=201)
async def redeem_coupon(
    invoice_id: UUID, asked: views.Redemption, who: Reader, session: Transaction, key: Idempotent
) -> views.CouponRedemption:
    """Lowers an invoice by a coupon."""
    await seen(session, tables.Invoice, invoice_id, who)
    redemption = await commands.redeem_coupon(session, invoice_id, asked.code, key=key, by=who.subject)
    return views.CouponRedemption.model_validate(redemption)
