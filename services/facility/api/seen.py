"""Who may ask for what. A token sees what belongs to its facilities; anything else does not exist for it."""

from __future__ import annotations

from typing import Annotated

from broker import Principal, allow

FacilityManager = Annotated[Principal, allow("facility_manager")]
BedManager = Annotated[Principal, allow("bed_manager")]
Staff = Annotated[Principal, allow("facility_manager", "bed_manager", "clinician", "nurse", "registrar")]
