"""Clinical over HTTP."""

from broker import Router
from services.clinical.api import charting, codes, encounters, patients, privacy, record

router = Router(tags=["clinical"])
for part in (patients, encounters, record, charting, codes, privacy):
    router.include_router(part.router)
