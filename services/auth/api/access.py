"""Who asks auth, and from where."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Request

from broker import NotFound, OutsideSettings, Principal, allow
from services.auth.errors import RoleMustCountEverywhere
from services.auth.vault import SECRET, Vault


def allow_everywhere(*roles: str) -> Any:
    """Closes a route to all but tokens with one of `roles` at every facility."""
    gate = allow(*roles)

    async def check(who: Principal = gate) -> Principal:
        if who.facilities is not None:
            raise RoleMustCountEverywhere
        return who

    return Depends(check)


async def _myself(who: Annotated[Principal, allow()]) -> UUID:
    if who.user_id is None:
        raise NotFound
    return who.user_id


async def _address(request: Request) -> str:
    return request.client.host if request.client else ""


async def _vault(outside: OutsideSettings) -> Vault:
    return Vault(outside[SECRET])


Anybody = Annotated[Principal, allow()]
Administrator = Annotated[Principal, allow_everywhere("administrator")]
Granter = Annotated[Principal, allow("administrator", "facility_manager")]
Officer = Annotated[Principal, allow_everywhere("administrator", "privacy_officer")]

Myself = Annotated[UUID, Depends(_myself)]
"""The user whose token it is; a program has no account."""

Address = Annotated[str, Depends(_address)]
"""Where the connection comes from, whatever a header says."""

Sealed = Annotated[Vault, Depends(_vault)]
