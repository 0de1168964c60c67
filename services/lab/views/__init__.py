"""What the lab's HTTP API takes and shows."""

from services.lab.views.calls import AskedCall, CallBackView, CalleeRole, CallView
from services.lab.views.catalogue import (
    AskedDelta,
    AskedRange,
    AskedReflex,
    AskedTest,
    DeltaView,
    Hours,
    RangeView,
    ReflexView,
    TestView,
)
from services.lab.views.common import Code, Moment, Reason
from services.lab.views.controls import AskedControl, ControlView
from services.lab.views.orders import AskedOrder, LineView, OrderView
from services.lab.views.results import AskedCorrection, AskedResult, AskedValue, CorrectionView, ResultView
from services.lab.views.samples import AskedSample, Label, Rejection, SampleView

__all__ = [
    "AskedCall",
    "AskedControl",
    "AskedCorrection",
    "AskedDelta",
    "AskedOrder",
    "AskedRange",
    "AskedReflex",
    "AskedResult",
    "AskedSample",
    "AskedTest",
    "AskedValue",
    "CallBackView",
    "CallView",
    "CalleeRole",
    "Code",
    "ControlView",
    "CorrectionView",
    "DeltaView",
    "Hours",
    "Label",
    "LineView",
    "Moment",
    "OrderView",
    "RangeView",
    "Reason",
    "ReflexView",
    "Rejection",
    "ResultView",
    "SampleView",
    "TestView",
]
