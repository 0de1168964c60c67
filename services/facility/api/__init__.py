"""Facility over HTTP. A token sees its facilities; any other does not exist for it."""

from broker import Router
from services.facility.api import beds, houses, wards

router = Router(tags=["facility"])
for part in (houses, wards, beds):
    router.include_router(part.router)
