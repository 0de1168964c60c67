"""Who may ask for what. A token sees what belongs to its facilities; anything else does not exist for it."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends

from broker import Principal, allow
from services.lab.errors import RoleMustCountEverywhere


def allow_everywhere(*roles: str) -> Any:
    """Closes a route to all but tokens with one of `roles` at every facility."""
    gate = allow(*roles)

    async def check(who: Principal = gate) -> Principal:
        if who.facilities is not None:
            raise RoleMustCountEverywhere
        return who

    return Depends(check)


Clinician = Annotated[Principal, allow("clinician")]
Technician = Annotated[Principal, allow("technician")]
Pathologist = Annotated[Principal, allow("pathologist")]
LabManager = Annotated[Principal, allow_everywhere("lab_manager")]
LabStaff = Annotated[Principal, allow("technician", "pathologist", "lab_manager")]
Staff = Annotated[Principal, allow("clinician", "technician", "pathologist", "lab_manager")]
