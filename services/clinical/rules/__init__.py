"""What clinical decides without asking anybody."""

from services.clinical.rules.allergies import ALLERGY, AllergyStatus, check_not_recorded
from services.clinical.rules.break_glass import BREAK_GLASS, BROKEN_FOR, BreakGlassStatus, check_glass, check_reviewer
from services.clinical.rules.diagnoses import DIAGNOSIS, DiagnosisStatus, check_billable, check_code_format
from services.clinical.rules.duplicates import DUPLICATE_REVIEW, REVIEW_FROM, ReviewStatus, duplicate_score, weights
from services.clinical.rules.encounters import (
    BLOCKS_DISCHARGE,
    ENCOUNTER,
    check_admission,
    check_alive,
    check_bed_wanted,
    check_discharge,
    check_discharge_request,
    check_happened,
    check_of_patient,
    overrides_discharge,
)
from services.clinical.rules.immunizations import check_dose, codes_like
from services.clinical.rules.patients import (
    PATIENT,
    check_birth,
    check_death,
    check_merge,
    check_one_bed,
    check_open_for_patients,
    check_survivor,
    check_treated,
    check_writable,
    status_after_unmerge,
)
from services.clinical.rules.vitals import PLAUSIBLE, check_vitals

__all__ = [
    "ALLERGY",
    "BLOCKS_DISCHARGE",
    "BREAK_GLASS",
    "BROKEN_FOR",
    "DIAGNOSIS",
    "DUPLICATE_REVIEW",
    "ENCOUNTER",
    "PATIENT",
    "PLAUSIBLE",
    "REVIEW_FROM",
    "AllergyStatus",
    "BreakGlassStatus",
    "DiagnosisStatus",
    "ReviewStatus",
    "check_admission",
    "check_alive",
    "check_bed_wanted",
    "check_billable",
    "check_birth",
    "check_code_format",
    "check_death",
    "check_discharge",
    "check_discharge_request",
    "check_dose",
    "check_glass",
    "check_happened",
    "check_merge",
    "check_not_recorded",
    "check_of_patient",
    "check_one_bed",
    "check_open_for_patients",
    "check_reviewer",
    "check_survivor",
    "check_treated",
    "check_vitals",
    "check_writable",
    "codes_like",
    "duplicate_score",
    "overrides_discharge",
    "status_after_unmerge",
    "weights",
]
