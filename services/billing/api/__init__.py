"""Billing over HTTP."""

from broker import Router
from services.billing.api import accounts, adjustments, charges, coupons, credit_notes, insurance, invoices

router = Router(tags=["billing"])
for part in (charges, accounts, invoices, adjustments, credit_notes, coupons, insurance):
    router.include_router(part.router)
