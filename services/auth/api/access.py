"""Who asks auth, and from where."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Request

from broker import NotFound, OutsideSettings, Principal, allow, allow_everywhere
from services.auth.vault import SECRET, Vault


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
