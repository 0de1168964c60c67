"""Auth over HTTP."""

from broker import Router
from services.auth.api import invitations, myself, operations, signing_in, users

router = Router()
for part in (signing_in, myself, users, invitations, operations):
    router.include_router(part.router)
