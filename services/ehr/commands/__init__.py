"""What the health record can be asked to do.

Each command works in the caller's transaction; what it publishes leaves with its commit. Ids that are not given are new. Who a
user is at a facility is looked up when they write, not taken from what their token said earlier.
"""

from services.ehr.commands.documents import Attachment, add_version, attach_document
from services.ehr.commands.notes import (
    add_addendum,
    cosign_note,
    draft_note,
    edit_note,
    mark_note_as_error,
    report_missing_cosignature,
    sign_note,
)
from services.ehr.commands.problems import add_problem, resolve_problem, take_diagnosis
from services.ehr.commands.record import enter_result, give_record_back, repoint_record, retain_what_was_written

__all__ = [
    "Attachment",
    "add_addendum",
    "add_problem",
    "add_version",
    "attach_document",
    "cosign_note",
    "draft_note",
    "edit_note",
    "enter_result",
    "give_record_back",
    "mark_note_as_error",
    "repoint_record",
    "report_missing_cosignature",
    "resolve_problem",
    "retain_what_was_written",
    "sign_note",
    "take_diagnosis",
]
