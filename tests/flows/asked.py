"""Everything that can be asked of the services: each route, with a body that is well formed, and how a refusal looks."""

from __future__ import annotations

from typing import Any

import httpx

from broker._http import routes_of
from tests.flows.hospital import money
from tests.flows.running import SERVICES, Running

Route = tuple[str, str, str]
"""Service, method, path."""

SOME = "0190f5c0-0000-7000-8000-000000000000"
BECAUSE = {"reason": "because"}

BODIES: dict[Route, dict[str, Any]] = {
    ("facility", "PUT", "/facilities/{facility_id}"): {
        "name": "a house",
        "kind": "hospital",
        "time_zone": "Africa/Cairo",
        "currency": "USD",
    },
    ("clinical", "POST", "/patients"): {
        "facility_id": SOME,
        "medical_record_number": "1",
        "full_name": "somebody",
        "birth_date": "1957-03-09",
        "sex": "female",
    },
    ("clinical", "POST", "/patients/search"): {"facility_id": SOME, "medical_record_number": "1"},
    ("clinical", "PATCH", "/patients/{patient_id}"): {"full_name": "somebody", "birth_date": "1957-03-09", "sex": "male"},
    ("clinical", "POST", "/patients/{patient_id}/merge"): {"into_patient_id": SOME},
    ("clinical", "POST", "/patients/{patient_id}/death"): {"deceased_on": "2026-01-01"},
    ("clinical", "POST", "/encounters"): {"patient_id": SOME, "encounter_class": "virtual", "planned_at": "2026-01-01T10:00Z"},
    ("clinical", "POST", "/encounters/{encounter_id}/arrive"): {"at": "2026-01-01T10:00Z"},
    ("clinical", "POST", "/encounters/{encounter_id}/start"): {"at": "2026-01-01T10:00Z"},
    ("clinical", "POST", "/encounters/{encounter_id}/discharge"): {"at": "2026-01-01T10:00Z"},
    ("clinical", "POST", "/encounters/{encounter_id}/cancel"): BECAUSE,
    ("clinical", "POST", "/encounters/{encounter_id}/entered-in-error"): BECAUSE,
    ("lab", "PUT", "/lab-tests/{code}"): {
        "name": "a test",
        "unit": "mmol/L",
        "molar_mass": "180.1",
        "normal_text": "none",
        "ranges": [
            {"sex": "female", "age_from": 1, "age_to": 2, "low": "1", "high": "2", "danger_low": "0", "danger_high": "3"}
        ],
    },
    ("lab", "POST", "/lab-orders"): {"patient_id": SOME, "tests": ["1-1"], "priority": "stat", "encounter_id": SOME},
    ("lab", "POST", "/lab-orders/drafts"): {"patient_id": SOME, "tests": ["1-1"], "priority": "stat", "encounter_id": SOME},
    ("lab", "POST", "/lab-orders/{order_id}/hold"): BECAUSE,
    ("lab", "POST", "/lab-orders/{order_id}/cancel"): BECAUSE,
    ("lab", "POST", "/lab-orders/{order_id}/samples"): {
        "label": {"full_name": "somebody", "birth_date": "1957-03-09", "medical_record_number": "1"},
        "test_codes": ["1-1"],
        "at": "2026-01-01T10:00Z",
    },
    ("lab", "POST", "/lab-orders/{order_id}/results"): {"test_code": "1-1", "value": "1", "unit": "mmol/L"},
    ("lab", "POST", "/samples/{sample_id}/receive"): {"at": "2026-01-01T10:00Z"},
    ("lab", "POST", "/samples/{sample_id}/reject"): {"reason": "clotted"},
    ("lab", "POST", "/lab-results/{result_id}/verify"): {"at": "2026-01-01T10:00Z"},
    ("lab", "POST", "/lab-results/{result_id}/correct"): {"value": "1", "unit": "mmol/L", "reason": "because"},
    ("billing", "PUT", "/prices"): {
        "facility_id": SOME,
        "code": "1-1",
        "price": money("1.00"),
        "effective_from": "2020-01-01",
        "effective_to": "2021-01-01",
    },
    ("billing", "POST", "/invoices"): {"patient_id": SOME, "facility_id": SOME, "encounter_id": SOME},
    ("billing", "POST", "/invoices/{invoice_id}/void"): BECAUSE,
    ("billing", "POST", "/invoices/{invoice_id}/adjustments"): {"amount": money("1.00"), **BECAUSE},
    ("billing", "POST", "/invoices/{invoice_id}/write-off"): BECAUSE,
    ("payment", "POST", "/payments"): {"invoice_id": SOME, "amount": money("1.00"), "token": "tok_visa"},
    ("payment", "POST", "/payments/recorded"): {
        "reference": "1",
        "patient_id": SOME,
        "facility_id": SOME,
        "invoice_id": SOME,
        "amount": money("1.00"),
        "method": "cash",
    },
    ("payment", "POST", "/payments/{payment_id}/card"): {"token": "tok_visa"},
}
"""A body that is well formed, for every route that takes one."""

ROUTES: list[Route] = [
    (service.name, method, route.path)
    for service in SERVICES
    for route in routes_of(service)
    for method in sorted(route.methods or ())
    if route.path != "/webhooks/card"
]
"""All but the provider's, which takes signatures for tokens."""


def filled(path: str, id_: str = SOME) -> str:
    """The path with an id, or a test's code, in each of its places."""
    while "{" in path:
        before, _, rest = path.partition("{")
        name, _, after = rest.partition("}")
        path = before + ("1-1" if name == "code" and id_ == SOME else id_) + after
    return path


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
