"""Payment over HTTP: for those who pay, take and give back money, and for providers' webhooks."""

from broker import Router
from services.payment.api import disputes, payments, paypal, plans, refunds, settlements, traces, transfers, webhooks

router = Router()
for part in (payments, refunds, disputes, plans, settlements, traces, transfers, webhooks, paypal):
    router.include_router(part.router)
