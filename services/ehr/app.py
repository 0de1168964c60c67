"""The electronic health record."""

from __future__ import annotations

from broker import Retained, Service
from services.ehr import api, handlers, replicas
from services.ehr.rules import RETAINED_BECAUSE
from services.ehr.tables import Base

WRITTEN = {
    "notes": "author_id",
    "addenda": "author_id",
    "cosignatures": "cosigner_id",
    "clinical_document_versions": "attached_by",
    "problem_lists": "added_by",
}
"""What users wrote and signed, by the column that says who."""

service = Service(
    name="ehr",
    port=4001,
    tables=Base.metadata,
    handlers=handlers,
    replicas=replicas,
    api=api.router,
    retained=tuple(Retained(table, column, RETAINED_BECAUSE) for table, column in WRITTEN.items()),
)
