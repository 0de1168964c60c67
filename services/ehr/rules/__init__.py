"""What the health record decides without asking anybody: who writes and signs what, and what belongs to what."""

from services.ehr.rules.documents import LARGEST_DOCUMENT, MediaType, check_document, check_new_version
from services.ehr.rules.notes import (
    COSIGN_WITHIN,
    NOTE,
    RETAINED_BECAUSE,
    Content,
    NoteStatus,
    Progress,
    Soap,
    check_addendum,
    check_editable,
    check_encounter,
    check_signed,
    check_takes_place,
    status_when_signed,
)
from services.ehr.rules.problems import PROBLEM, DiagnosisStatus, ProblemStatus, ends_problem, puts_problem_on_list
from services.ehr.rules.results import Said, predecessors
from services.ehr.rules.writers import Writer, check_author, check_cosigner, check_withdraws, check_writes

__all__ = [
    "COSIGN_WITHIN",
    "LARGEST_DOCUMENT",
    "NOTE",
    "PROBLEM",
    "RETAINED_BECAUSE",
    "Content",
    "DiagnosisStatus",
    "MediaType",
    "NoteStatus",
    "ProblemStatus",
    "Progress",
    "Said",
    "Soap",
    "Writer",
    "check_addendum",
    "check_author",
    "check_cosigner",
    "check_document",
    "check_editable",
    "check_encounter",
    "check_new_version",
    "check_signed",
    "check_takes_place",
    "check_withdraws",
    "check_writes",
    "ends_problem",
    "predecessors",
    "puts_problem_on_list",
    "status_when_signed",
]
