"""Billing over HTTP."""

from broker import Router
from services.billing.api import accounts, adjustments, charges, coupons, insurance, invoices

router = Router(tags=["billing"])
for part in (charges, accounts, invoices, adjustments, coupons, insurance):
    router.include_router(part.router)
