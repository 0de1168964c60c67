"""Who may ask for what. A token sees what belongs to its facilities; anything else does not exist for it."""

from __future__ import annotations

from typing import Annotated

from broker import Principal, allow, allow_everywhere

Clinician = Annotated[Principal, allow("clinician")]
Technician = Annotated[Principal, allow("technician")]
Pathologist = Annotated[Principal, allow("pathologist")]
LabManager = Annotated[Principal, allow_everywhere("lab_manager")]
LabStaff = Annotated[Principal, allow("technician", "pathologist", "lab_manager")]
Staff = Annotated[Principal, allow("clinician", "technician", "pathologist", "lab_manager")]
