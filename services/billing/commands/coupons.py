"""Coupons: made, redeemed, revoked, expired."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from uuid import UUID, uuid4

from sqlalchemy import Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from broker import NotFound, clock, publish, schedule, unschedule
from contracts.billing import CouponExpiryDue, CouponRedeemed
from contracts.money import Money
from services.billing import rules
from services.billing.commands.accounts import working_on
from services.billing.commands.adjustments import conclude_if_settled, note_adjustment
from services.billing.commands.days import day_at, zone_of
from services.billing.errors import CouponCodeIsTaken, CouponWasRedeemedOnThisInvoice, RedemptionKeyIsTaken
from services.billing.tables import BillingAuditEntry, Coupon, CouponRedemption, Invoice


async def make_coupon(
    session: AsyncSession,
    *,
    facility_id: UUID,
    code: str,
    stacking: rules.Stacking,
    valid_from: date,
    valid_to: date,
    most_redemptions: int,
    most_per_patient: int | None = None,
    percent: Decimal | None = None,
    amount: Money | None = None,
) -> Coupon:
    """Makes a coupon over a percentage or an amount.

    Raises CouponIsAmountOrPercent, CouponEndsBeforeItBegins, CouponCodeIsTaken.
    """
    rules.check_terms(percent, amount, valid_from, valid_to)
    if await session.scalar(_by_code(facility_id, code)) is not None:
        raise CouponCodeIsTaken
    coupon = Coupon(
        coupon_id=uuid4(),
        facility_id=facility_id,
        code=code,
        status="active",
        stacking=stacking,
        percent=percent,
        amount=amount.amount if amount else None,
        currency=amount.currency if amount else None,
        valid_from=valid_from,
        valid_to=valid_to,
        most_redemptions=most_redemptions,
        most_per_patient=most_per_patient,
        redemptions=0,
    )
    session.add(coupon)
    expiry = CouponExpiryDue(coupon_id=coupon.coupon_id)
    ends_at = rules.overdue_from(valid_to, await zone_of(session, facility_id))
    await schedule(session, expiry, at=ends_at, name=_expiry_name(coupon.coupon_id))
    return coupon


async def redeem_coupon(
    session: AsyncSession, invoice_id: UUID, code: str, *, key: str | None = None, by: str
) -> CouponRedemption:
    """Lowers an invoice by a coupon of its facility. The same `key` again is the same redemption.

    Raises CouponIsNotActive, CouponIsNotValidToday, PatientUsedTheCouponUp, CouponsDoNotStack, NothingIsLeftToDiscount,
    CouponWasRedeemedOnThisInvoice, RedemptionKeyIsTaken, OnlyAnIssuedInvoiceIsLowered, InvoiceIsInAnotherCurrency, NotFound.
    """
    coupon = await _locked(session, (await Invoice.seen(session, invoice_id)).facility_id, code)
    known = await _redeemed_with(session, coupon.coupon_id, key, invoice_id)
    if known is not None:
        return known
    invoice = await working_on(session, invoice_id)
    rules.check_lowerable(invoice.status)
    await _check_redeemable(session, coupon, invoice)
    taken_off = rules.discount(coupon, invoice.total, invoice.balance)
    invoice.adjust(taken_off)
    note_adjustment(session, invoice, taken_off, "coupon", f"coupon {coupon.code}", by, None)
    await conclude_if_settled(session, invoice)
    coupon.redeem()
    redemption = CouponRedemption(
        redemption_id=uuid4(),
        coupon_id=coupon.coupon_id,
        redemption_key=key,
        invoice_id=invoice_id,
        patient_id=invoice.patient_id,
        recorded_for=invoice.recorded_for,
        amount=taken_off.amount,
        currency=taken_off.currency,
        redeemed_at=clock.now(),
    )
    session.add_all([redemption, BillingAuditEntry.about(invoice, "coupon_redeemed", by, taken_off)])
    event = CouponRedeemed.of(redemption, facility_id=invoice.facility_id, amount=taken_off)
    publish(session, event)
    return redemption


async def revoke_coupon(session: AsyncSession, coupon_id: UUID) -> Coupon:
    """Nobody redeems it any more; what it lowered stays lowered. Raises CouponCannotBecome, NotFound."""
    coupon = await Coupon.locked(session, coupon_id)
    coupon.move("revoked")
    await unschedule(session, _expiry_name(coupon_id))
    return coupon


async def expire_coupon(session: AsyncSession, coupon_id: UUID) -> None:
    """Ends a coupon whose last day has passed; one that was used up or revoked stays that."""
    coupon = await Coupon.locked(session, coupon_id)
    if coupon.status == "active":
        coupon.move("expired")


async def _check_redeemable(session: AsyncSession, coupon: Coupon, invoice: Invoice) -> None:
    redemption = CouponRedemption
    by_patient = [redemption.coupon_id == coupon.coupon_id, redemption.patient_id == invoice.patient_id]
    used = await session.scalar(select(func.count()).select_from(redemption).where(*by_patient)) or 0
    redeemed = select(Coupon.coupon_id, Coupon.stacking).join(redemption, redemption.coupon_id == Coupon.coupon_id)
    others = (await session.execute(redeemed.where(redemption.invoice_id == invoice.invoice_id))).all()
    if coupon.coupon_id in {coupon_id for coupon_id, _ in others}:
        raise CouponWasRedeemedOnThisInvoice
    today = await day_at(session, coupon.facility_id, clock.now())
    rules.check_redeemable(coupon, today, used, [stacking for _, stacking in others])


async def _redeemed_with(session: AsyncSession, coupon_id: UUID, key: str | None, invoice_id: UUID) -> CouponRedemption | None:
    if key is None:
        return None
    with_key = [CouponRedemption.coupon_id == coupon_id, CouponRedemption.redemption_key == key]
    known = await session.scalar(select(CouponRedemption).where(*with_key))
    if known is not None and known.invoice_id != invoice_id:
        raise RedemptionKeyIsTaken
    return known


async def _locked(session: AsyncSession, facility_id: UUID, code: str) -> Coupon:
    coupon_id = await session.scalar(_by_code(facility_id, code))
    if coupon_id is None:
        raise NotFound
    return await Coupon.locked(session, coupon_id)


def _by_code(facility_id: UUID, code: str) -> Select[UUID]:
    return select(Coupon.coupon_id).where(Coupon.facility_id == facility_id, Coupon.code == code)


def _expiry_name(coupon_id: UUID) -> str:
    return f"coupon {coupon_id} expires"
