"""Traces that survive the outbox: a W3C `traceparent` goes from the request into the event, and on into its handlers.

Spans are recorded where the process has an OpenTelemetry SDK: the one that somebody set, or the one that the standard
variable OTEL_TRACES_EXPORTER asks for. Otherwise the traceparent is handed on, at the cost of a comparison.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from importlib.metadata import entry_points

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import ProxyTracerProvider, SpanKind, Status, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from broker.errors import DeclarationError

EXPORTER = "OTEL_TRACES_EXPORTER"

_propagator = TraceContextTextMapPropagator()


def span(
    service: str, name: str, traceparent: str | None, kind: SpanKind = SpanKind.CONSUMER
) -> AbstractContextManager[str | None]:
    """A span below `traceparent`, or the first of a new trace; gives the traceparent of what it causes.

    An error inside is recorded by its class alone: texts may quote what is personal.
    """
    tracer = _tracer(service)
    return nullcontext(traceparent) if tracer is None else _recorded(tracer, name, traceparent, kind)


@contextmanager
def _recorded(tracer: Tracer, name: str, traceparent: str | None, kind: SpanKind) -> Iterator[str | None]:
    parent = _propagator.extract({"traceparent": traceparent}) if traceparent else None
    with tracer.start_as_current_span(name, parent, kind, record_exception=False, set_status_on_exception=False) as current:
        carrier: dict[str, str] = {}
        _propagator.inject(carrier)
        try:
            yield carrier.get("traceparent")
        except BaseException as error:
            current.set_status(Status(StatusCode.ERROR))
            current.set_attribute("error.type", type(error).__name__)
            raise


def _tracer(service: str) -> Tracer | None:
    if not isinstance(trace.get_tracer_provider(), ProxyTracerProvider):
        return trace.get_tracer(f"nilecare.{service}")
    if os.environ.get(EXPORTER, "none") == "none":
        return None
    return _provider(service).get_tracer("nilecare")


@cache
def _provider(service: str) -> TracerProvider:
    """The services of one process share an exporter, and appear under their own names."""
    provider = TracerProvider(resource=Resource.create({"service.name": service}))
    provider.add_span_processor(_processor(os.environ[EXPORTER]))
    return provider


@cache
def _processor(exporter: str) -> BatchSpanProcessor:
    found = entry_points(group="opentelemetry_traces_exporter", name=exporter)
    if not found:
        raise DeclarationError(f"{EXPORTER} asks for {exporter}: install the package of that exporter")
    return BatchSpanProcessor(next(iter(found)).load()())


def check_tracing() -> None:
    """Raises DeclarationError when the exporter that the environment asks for is not installed."""
    _tracer("nilecare")
