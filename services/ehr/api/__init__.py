"""The health record over HTTP. A token sees the patients of its facilities; any other patient does not exist for it."""

from broker import Router
from services.ehr.api import documents, notes, problems, record

router = Router()
for part in (notes, problems, documents, record):
    router.include_router(part.router)

__all__ = ["router"]
