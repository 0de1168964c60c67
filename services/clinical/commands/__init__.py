"""What clinical can be asked to do. Each works in the caller's transaction; what it publishes leaves with its commit.

Times that are not given are now; ids that are not given are new.
"""

from services.clinical.commands.allergies import record_allergy, remove_allergy
from services.clinical.commands.beds import leave_bed, take_bed
from services.clinical.commands.break_glass import break_glass, review_break_glass, see_behind_glass
from services.clinical.commands.charting import chart_vitals, give_immunization, perform_procedure, write_note
from services.clinical.commands.diagnoses import change_diagnosis, load_codes, record_diagnosis
from services.clinical.commands.duplicates import confirm_duplicate, dismiss_duplicate
from services.clinical.commands.encounters import (
    arrive,
    cancel_encounter,
    discharge,
    mark_encounter_as_error,
    plan_encounter,
    request_discharge,
    start_encounter,
)
from services.clinical.commands.entries import enter_paid_invoice, enter_result
from services.clinical.commands.merges import merge_patients, unmerge_patient
from services.clinical.commands.orders import close_order, expect_recollection, follow_order
from services.clinical.commands.registration import (
    deactivate_patient,
    reactivate_patient,
    record_death,
    register_patient,
    update_demographics,
)

__all__ = [
    "arrive",
    "break_glass",
    "cancel_encounter",
    "change_diagnosis",
    "chart_vitals",
    "close_order",
    "confirm_duplicate",
    "deactivate_patient",
    "discharge",
    "dismiss_duplicate",
    "enter_paid_invoice",
    "enter_result",
    "expect_recollection",
    "follow_order",
    "give_immunization",
    "leave_bed",
    "load_codes",
    "mark_encounter_as_error",
    "merge_patients",
    "perform_procedure",
    "plan_encounter",
    "reactivate_patient",
    "record_allergy",
    "record_death",
    "record_diagnosis",
    "register_patient",
    "remove_allergy",
    "request_discharge",
    "review_break_glass",
    "see_behind_glass",
    "start_encounter",
    "take_bed",
    "unmerge_patient",
    "update_demographics",
    "write_note",
]
