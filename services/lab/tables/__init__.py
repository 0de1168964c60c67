"""The tables that the lab owns."""

from services.lab.tables.base import Base
from services.lab.tables.catalogue import LabTest, ReferenceRange
from services.lab.tables.orders import LabOrder, OrderLine
from services.lab.tables.results import LabResult, ResultCorrection
from services.lab.tables.samples import Sample

__all__ = [
    "Base",
    "LabOrder",
    "LabResult",
    "LabTest",
    "OrderLine",
    "ReferenceRange",
    "ResultCorrection",
    "Sample",
]
