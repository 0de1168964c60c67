"""Operations in a browser: documents that a server writes, with forms in them, and not one line of script."""

from broker import Router
from services.operations.pages import acting, flows, following, looking, signing_in, style, watching
from services.operations.pages.writing import trouble

__all__ = ["router", "trouble"]

router = Router()
for part in (style, signing_in, watching, looking, following, flows, acting):
    router.include_router(part.router)
