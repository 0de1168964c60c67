"""The tables that the lab owns."""

from services.lab.tables.base import Base
from services.lab.tables.calls import CriticalCall, CriticalCallBack
from services.lab.tables.catalogue import LabTest, ReferenceRange, ReflexTest
from services.lab.tables.controls import ControlMeasurement
from services.lab.tables.orders import LabOrder, OrderLine
from services.lab.tables.results import LabResult, ResultCorrection
from services.lab.tables.samples import Sample

__all__ = [
    "Base",
    "ControlMeasurement",
    "CriticalCall",
    "CriticalCallBack",
    "LabOrder",
    "LabResult",
    "LabTest",
    "OrderLine",
    "ReferenceRange",
    "ReflexTest",
    "ResultCorrection",
    "Sample",
]
