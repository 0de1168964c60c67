"""The tables that clinical owns. Nothing is ever deleted from them."""

from services.clinical.tables.audit import AuditAction, AuditEntry, BreakGlass
from services.clinical.tables.base import Base
from services.clinical.tables.care import (
    Allergy,
    Charted,
    ClinicalNote,
    Diagnosis,
    Icd10Code,
    Immunization,
    Procedure,
    Severity,
    VitalSigns,
)
from services.clinical.tables.encounters import Encounter, EncounterOrder
from services.clinical.tables.entries import Entry, PaidInvoiceEntry, ResultEntry
from services.clinical.tables.patients import DuplicateReview, OfPatient, Patient

MOVED_IN_BULK: tuple[type[OfPatient], ...] = (
    ResultEntry,
    PaidInvoiceEntry,
    Diagnosis,
    Allergy,
    Procedure,
    Immunization,
    VitalSigns,
    ClinicalNote,
    BreakGlass,
)
"""What moves with a merge beside the encounters, which tell of it by their state."""

__all__ = [
    "MOVED_IN_BULK",
    "Allergy",
    "AuditAction",
    "AuditEntry",
    "Base",
    "BreakGlass",
    "Charted",
    "ClinicalNote",
    "Diagnosis",
    "DuplicateReview",
    "Encounter",
    "EncounterOrder",
    "Entry",
    "Icd10Code",
    "Immunization",
    "OfPatient",
    "PaidInvoiceEntry",
    "Patient",
    "Procedure",
    "ResultEntry",
    "Severity",
    "VitalSigns",
]
