"""Operations in a browser: documents that a server writes, with forms in them, and not one line of script."""

from broker import Router
from services.operations.pages import acting, flows, looking, signing_in, style, watching

router = Router()
for part in (style, signing_in, watching, looking, flows, acting):
    router.include_router(part.router)
