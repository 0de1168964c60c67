"""What facility can be asked to do. Each command takes the session of its transaction and publishes into it."""

from services.facility.commands.beds import (
    assign_bed,
    cancel_reservation,
    expire_reservation,
    put_into_service,
    release_bed,
    reserve_bed,
    take_out_of_service,
    transfer_patient,
)
from services.facility.commands.houses import activate_facility, deactivate_facility, put_facility
from services.facility.commands.patients import merge_patient, release_beds_of, unmerge_patient
from services.facility.commands.settings import set_setting, setting_of, settings_of
from services.facility.commands.stays import end_stay, request_bed
from services.facility.commands.wards import change_ward, create_bed, create_department, create_ward

__all__ = [
    "activate_facility",
    "assign_bed",
    "cancel_reservation",
    "change_ward",
    "create_bed",
    "create_department",
    "create_ward",
    "deactivate_facility",
    "end_stay",
    "expire_reservation",
    "merge_patient",
    "put_facility",
    "put_into_service",
    "release_bed",
    "release_beds_of",
    "request_bed",
    "reserve_bed",
    "set_setting",
    "setting_of",
    "settings_of",
    "take_out_of_service",
    "transfer_patient",
    "unmerge_patient",
]
