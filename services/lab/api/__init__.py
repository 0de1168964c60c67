"""The lab over HTTP."""

from broker import Router
from services.lab.api import catalogue, orders, results, samples

router = Router(tags=["lab"])
for part in (catalogue, orders, samples, results):
    router.include_router(part.router)
