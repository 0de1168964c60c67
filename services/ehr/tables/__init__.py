"""The tables that the health record owns."""

from services.ehr.tables.base import Base, OfPatient
from services.ehr.tables.documents import Document, DocumentVersion
from services.ehr.tables.notes import Addendum, Cosignature, Note, ProgressNote, SoapNote
from services.ehr.tables.problems import DiagnosisEntry, Problem
from services.ehr.tables.results import Result, ResultEntry
from services.ehr.tables.retention import Retention

__all__ = [
    "Addendum",
    "Base",
    "Cosignature",
    "DiagnosisEntry",
    "Document",
    "DocumentVersion",
    "Note",
    "OfPatient",
    "Problem",
    "ProgressNote",
    "Result",
    "ResultEntry",
    "Retention",
    "SoapNote",
]
