"""Traces go on from the request into the event and its handler, whether or not anybody records them."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from broker import DeclarationError
from broker import _tracing as tracing

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

RECORDED = """
import json
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from broker._tracing import span

exporter = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)
try:
    with span("lab", "outer", PARENT) as outer, span("lab", "inner", outer) as inner:
        raise ValueError("Jane Doe")
except ValueError:
    pass
spans = [json.loads(one.to_json()) for one in exporter.get_finished_spans()]
print(json.dumps({"outer": outer, "inner": inner, "spans": spans}))
"""


def test_handed_on_unrecorded() -> None:
    """Without an SDK the traceparent goes on as it came."""
    with tracing.span("lab", "x", PARENT) as trace:
        assert trace == PARENT
    with tracing.span("lab", "x", None) as trace:
        assert trace is None


def test_recorded() -> None:
    """With an SDK spans are children of what caused them, and an error in one is its class alone."""
    script = RECORDED.replace("PARENT", repr(PARENT))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "Jane Doe" not in done.stdout
    told = json.loads(done.stdout)
    inner, outer = told["spans"]
    assert outer["parent_id"] == "0xb7ad6b7169203331"
    assert inner["parent_id"] == outer["context"]["span_id"] == "0x" + told["outer"].split("-")[2]
    assert told["inner"].split("-")[1] == PARENT.split("-")[1]
    assert inner["attributes"] == {"error.type": "ValueError"}


def test_an_exporter_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """An exporter that is asked for and not installed is refused at the start, in a sentence."""
    monkeypatch.setenv(tracing.EXPORTER, "nowhere")
    with pytest.raises(DeclarationError, match="install the package"):
        tracing.check_tracing()
