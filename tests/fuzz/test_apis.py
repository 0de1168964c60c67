"""Requests made up from each API's own OpenAPI document: no answer is an internal error, and none breaks the document."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from copy import deepcopy
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.checks import (
    content_type_conformance,
    negative_data_rejection,
    not_a_server_error,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from schemathesis.core.result import Ok
from schemathesis.schemas import APIOperation

from broker import Service
from broker._http import PREFIX
from nilecare.platform import services
from tests.flows.asked import DOCUMENTS, Route, route
from tests.fuzz.serving import Served

Made = Case[Any]
Operation = APIOperation[Any, Any, Any, Any]
Serve = Callable[[Service], Served]

A_FEW = 3
"""Requests of each kind to each operation, unless `--fuzz` asks for more."""

LATEST = 5
"""From how many of a kind one is taken: what was there before has often come to its end."""

CONTRACT = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]

CHANCES = st.integers(0, 2**32).map(random.Random)
"""What is there changes from request to request: it must not decide how much chance is drawn from Hypothesis."""

TOGETHER = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture]


def operations(service: Service) -> Iterator[Operation]:
    """What can be asked of a service, as its OpenAPI document says; the token, without which nothing is, is not made up."""
    document = deepcopy(DOCUMENTS[service.name])
    for path in document["paths"].values():
        for declared in path.values():
            declared.pop("security", None)
    for found in schemathesis.openapi.from_dict(document).get_all_operations():
        assert isinstance(found, Ok), found
        operation = found.ok()
        if operation.path.startswith(PREFIX):
            yield operation


SERVICES = [service for service in services() if service.api is not None]
OPERATIONS = [(service, operation) for service in SERVICES for operation in operations(service)]


def can_be_malformed(operation: Operation) -> bool:
    """Whether anything of a request has to be more than some text: a parameter, or a body."""
    asked = [parameter.definition["schema"] for parameter in operation.iter_parameters()]
    return bool(operation.body) or any(schema.keys() - {"title"} != {"type"} or schema["type"] != "string" for schema in asked)


def each_of(asked: Iterable[tuple[Service, Operation]]) -> pytest.MarkDecorator:
    """A test of each."""
    named = [pytest.param(service, operation, id=f"{service.name} {operation.label}") for service, operation in asked]
    return pytest.mark.parametrize(("service", "operation"), named)


@each_of(OPERATIONS)
def test_well_formed_requests(serve: Serve, service: Service, operation: Operation, request: pytest.FixtureRequest) -> None:
    """A request that the document allows is answered as the document says, also when much of it makes sense."""
    served = serve(service)
    asked = route(service.name, operation.method.upper(), operation.path.removeprefix(PREFIX))

    @_as_often(request)
    @given(operation.as_strategy(), CHANCES)
    def ask(case: Made, chance: random.Random) -> None:
        _make_sense(case, asked, served.known, chance)
        response = case.call(base_url=served.url, session=chance.choice(served.colleagues))
        case.validate_response(response, checks=CONTRACT)
        if response.status_code < 300 and response.content:
            served.learn(response.json())

    ask()


@each_of((service, operation) for service, operation in OPERATIONS if can_be_malformed(operation))
def test_malformed_requests(serve: Serve, service: Service, operation: Operation, request: pytest.FixtureRequest) -> None:
    """A request that the document does not allow is refused, as the document says."""
    served = serve(service)

    @_as_often(request)
    @given(operation.as_strategy(GenerationMode.NEGATIVE))
    def ask(case: Made) -> None:
        response = case.call(base_url=served.url, session=served.colleagues[0])
        case.validate_response(response, checks=[*CONTRACT, negative_data_rejection])

    ask()


def _as_often(request: pytest.FixtureRequest) -> settings:
    asked: int = request.config.getoption("--fuzz")
    return settings(
        max_examples=asked or A_FEW,
        derandomize=not asked,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=TOGETHER,
    )


def _make_sense(case: Made, asked: Route, known: dict[str, list[str]], chance: random.Random) -> None:
    """Most of the time ids are of something that is there, and most of a body is what somebody would ask for."""

    def chosen(name: str, value: Any) -> Any:
        ids = known.get(name)
        if ids and isinstance(value, str) and chance.random() < 0.8:
            return chance.choice(ids[-LATEST:])
        return replaced(value)

    def replaced(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: chosen(name, inside) for name, inside in value.items()}
        return [replaced(inside) for inside in value] if isinstance(value, list) else value

    case.path_parameters = {name: chosen(name, value) for name, value in (case.path_parameters or {}).items()}
    case.query = {name: chosen(name, value) for name, value in (case.query or {}).items()}
    case.body = replaced(case.body)
    if isinstance(case.body, dict) and chance.random() < 0.8:
        sensible = asked.body({name: chance.choice(ids[-LATEST:]) for name, ids in known.items()})
        case.body = sensible | {name: value for name, value in case.body.items() if chance.random() < 0.2}
