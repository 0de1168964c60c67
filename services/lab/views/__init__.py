"""What the lab's HTTP API takes and shows."""

from services.lab.views.catalogue import AskedRange, AskedTest, RangeView, TestView
from services.lab.views.common import Code, Moment, Reason
from services.lab.views.orders import AskedOrder, LineView, OrderView
from services.lab.views.results import AskedCorrection, AskedResult, AskedValue, CorrectionView, ResultView
from services.lab.views.samples import AskedSample, Label, Rejection, SampleView

__all__ = [
    "AskedCorrection",
    "AskedOrder",
    "AskedRange",
    "AskedResult",
    "AskedSample",
    "AskedTest",
    "AskedValue",
    "Code",
    "CorrectionView",
    "Label",
    "LineView",
    "Moment",
    "OrderView",
    "RangeView",
    "Reason",
    "Rejection",
    "ResultView",
    "SampleView",
    "TestView",
]
