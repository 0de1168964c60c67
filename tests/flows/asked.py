"""Everything that can be asked of the services: each route, a body made from its OpenAPI document, and how a refusal looks."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from uuid import uuid4

import httpx
from fastapi.routing import APIRoute

from broker import Service, Settings
from broker._access import gates_of
from broker._database import Database, engine_for
from broker._http import PREFIX, application, routes_of
from tests.flows.running import SERVICES, Running

TEXTS = (
    "1-1",
    "08",
    "USD",
    "en",
    "tok_visa",
    "somebody",
    "1",
    "A01.0",
    "12:00",
    "+249123456789",
    "254712345678",
    "somebody@example.org",
    "0" * 64,
)
"""What texts with a pattern are filled with: the first that fits."""

NAMED = {
    "time_zone": "Africa/Khartoum",
    "currency": "USD",
    "locale": "en",
    "email": "somebody@example.org",
    "topic": "result.ready",
    "unit": "mmol/L",
    "roles": "nurse",
}
"""What texts of these names are filled with."""

FORMATS = {"date": "2026-01-01", "date-time": "2026-01-01T10:00:00Z", "time": "10:00:00", "email": "somebody@example.org"}

DIAGNOSIS = "I10"

LABEL = {"full_name": "somebody", "birth_date": "1957-03-09", "medical_record_number": "1"}
"""What stands on a sample: it is of the patient who is called so."""

MORE: Mapping[tuple[str, str, str], dict[str, Any]] = {
    ("billing", "POST", "/coupons"): {"percent": "10", "valid_to": "2999-12-31"},
    ("clinical", "POST", "/encounters"): {"encounter_class": "inpatient"},
    ("clinical", "PATCH", "/patients/{patient_id}"): {"sex": "other"},
    ("clinical", "POST", "/patients/{patient_id}/diagnoses"): {"code": DIAGNOSIS},
    ("clinical", "PUT", "/icd10-codes"): {"codes": [{"code": DIAGNOSIS, "title": "Essential hypertension", "billable": True}]},
    ("ehr", "POST", "/problems"): {"code": DIAGNOSIS},
    ("clinical", "POST", "/patients/{patient_id}/vitals"): {"pulse_per_minute": 70},
    ("ehr", "POST", "/documents/{document_id}/versions"): {"content": "something else"},
    ("facility", "POST", "/departments/{department_id}/wards"): {"capacity": 10},
    ("facility", "PUT", "/facilities/{facility_id}/settings/{setting}"): {"value": "10:00"},
    ("facility", "PUT", "/wards/{ward_id}"): {"capacity": 10},
    ("lab", "POST", "/lab-orders/{order_id}/samples"): {"label": LABEL},
    ("lab", "POST", "/lab-orders/{order_id}/results"): {"value": "1", "unit": "mmol/L"},
    ("lab", "POST", "/lab-results/{result_id}/correct"): {"value": "1", "unit": "mmol/L"},
    ("notification", "POST", "/templates"): {"subject": "Something"},
    ("notification", "POST", "/subscriptions"): {"topic": "ward.full", "role": "nurse", "user_id": None},
}
"""Fields that a body needs although its document does not require each of them."""


@dataclass(frozen=True)
class Route:
    """One thing that can be asked."""

    service: Service
    method: str
    declared: APIRoute
    document: Mapping[str, Any]

    @property
    def path(self) -> str:
        """With its places: /patients/{patient_id}."""
        return self.declared.path

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.service.name} {self.method} {self.path}"

    @property
    def places(self) -> list[str]:
        """The names in its path."""
        return re.findall(r"\{(\w+)\}", self.path)

    @property
    def is_list(self) -> bool:
        """Whether it gives pages of what one may see."""
        return self.method == "GET" and not self.places and self.pages

    @property
    def queries(self) -> set[str]:
        """What can be said in its query."""
        operation = self.document["paths"][PREFIX + self.path][self.method.lower()]
        return {parameter["name"] for parameter in operation.get("parameters", ()) if parameter["in"] == "query"}

    @property
    def pages(self) -> bool:
        """Whether it takes a cursor."""
        return "cursor" in self.queries

    @property
    def roles(self) -> frozenset[str]:
        """Who may ask; nobody where no token opens it."""
        return frozenset(role for gate in gates_of(self.declared.dependant) for role in gate.roles)

    @property
    def asks_for_a_token(self) -> bool:
        """Whether a token opens it; others are open, or proven genuine in another way."""
        return any(True for _ in gates_of(self.declared.dependant))

    @cached_property
    def schema(self) -> dict[str, Any] | None:
        """Of its body; None when it takes none."""
        operation = self.document["paths"][PREFIX + self.path][self.method.lower()]
        content = operation.get("requestBody", {}).get("content", {})
        return content["application/json"]["schema"] if "application/json" in content else None

    @property
    def makes_something(self) -> bool:
        """Whether its success is that something is there which was not before."""
        return self.method == "PUT" or self.declared.status_code == 201

    def filled(self, ids: Mapping[str, str] | None = None) -> str:
        """The path with these ids in their places, and ids that nobody has in the others."""
        return re.sub(r"\{(\w+)\}", lambda place: (ids or {}).get(place[1]) or self._unknown(place[1]), self.path)

    def body(self, ids: Mapping[str, str] | None = None) -> Any:
        """A body that its document allows, with these ids in the fields of their names; None when it takes none."""
        if self.schema is None:
            return None
        made = self._made(self.schema, "", ids or {})
        return made | MORE.get((self.service.name, self.method, self.path), {}) if isinstance(made, dict) else made

    def _unknown(self, place: str) -> str:
        """Something that nobody has, as the document says that it is to look."""
        parameters = self.document["paths"][PREFIX + self.path][self.method.lower()]["parameters"]
        [schema] = [parameter["schema"] for parameter in parameters if (parameter["in"], parameter["name"]) == ("path", place)]
        return str(uuid4()) if place.endswith("_id") else "1" if schema.get("type") == "integer" else "1-1"

    def _made(self, schema: Mapping[str, Any], name: str, ids: Mapping[str, str]) -> Any:
        if "$ref" in schema:
            return self._made(self._named(schema["$ref"]), name, ids)
        for alternatives in ("anyOf", "oneOf", "allOf"):
            if alternatives in schema:
                return self._made(next(one for one in schema[alternatives] if one.get("type") != "null"), name, ids)
        if "const" in schema or "enum" in schema:
            return schema["const"] if "const" in schema else schema["enum"][0]
        match schema.get("type"):
            case "object":
                required = schema.get("required", ())
                fields = schema.get("properties", {}).items()
                return {field: self._made(inside, field, ids) for field, inside in fields if field in required or field in ids}
            case "array":
                return [self._made(schema["items"], name, ids) for _ in range(max(1, schema.get("minItems", 1)))]
            case "integer" | "number":
                return schema.get("minimum", schema.get("exclusiveMinimum", 0) + 1)
            case "boolean":
                return True
            case _:
                return _text(schema, name, ids)

    def _named(self, reference: str) -> dict[str, Any]:
        found: Any = self.document
        for part in reference.removeprefix("#/").split("/"):
            found = found[part]
        return dict(found)


def _text(schema: Mapping[str, Any], name: str, ids: Mapping[str, str]) -> str:
    if schema.get("format") == "uuid" or name in ids:
        return ids.get(name) or str(uuid4())
    if name in NAMED:
        return NAMED[name]
    if schema.get("format") in FORMATS:
        return FORMATS[schema["format"]]
    fitting = [text for text in TEXTS if re.search(schema.get("pattern", ""), text)]
    return next(text for text in fitting if schema.get("minLength", 0) <= len(text) <= schema.get("maxLength", 1000))


def _document(service: Service) -> dict[str, Any]:
    nowhere = Database(engine_for("postgresql://nobody@localhost/nothing"), service.name)
    return application(service, Settings(database_url="", amqp_url=""), nowhere).openapi()


DOCUMENTS = {service.name: _document(service) for service in SERVICES if service.api is not None}
"""The OpenAPI document of each service's API."""


def _routes() -> Iterator[Route]:
    for service in SERVICES:
        if service.api is not None:
            document = DOCUMENTS[service.name]
            for declared in routes_of(service):
                for method in sorted(declared.methods or ()):
                    yield Route(service, method, declared, document)


ROUTES = list(_routes())
"""Every route of every service."""

ROLES = {
    service.name: sorted({role for route in ROUTES if route.service is service for role in route.roles}) for service in SERVICES
}
"""The roles that each service knows."""


def route(service: str, method: str, path: str) -> Route:
    """One of them."""
    [found] = [each for each in ROUTES if (each.service.name, each.method, each.path) == (service, method, path)]
    return found


def routes_of_service(name: str) -> list[Route]:
    """Those of one service that tokens open."""
    return [route for route in ROUTES if route.service.name == name and route.asks_for_a_token]


def refusal(running: Running, response: httpx.Response, *statuses: int) -> Any:
    """The problem document of a refusal."""
    running.problems.append(response.text)
    assert response.status_code in statuses, f"{response.request.method} {response.request.url}: {response.status_code}"
    assert response.headers["content-type"] == "application/problem+json"
    document = response.json()
    assert document["status"] == response.status_code
    assert document["type"]
    assert document["title"]
    return document
