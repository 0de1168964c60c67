"""The lab over HTTP."""

from broker import Router
from services.lab.api import calls, catalogue, controls, orders, results, samples

router = Router(tags=["lab"])
for part in (catalogue, controls, orders, samples, results, calls):
    router.include_router(part.router)
