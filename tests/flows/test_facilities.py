"""A token of one facility sees nothing of another's, and changes nothing: tried on every route that there is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest

from broker._http import routes_of
from tests.flows.hospital import CULTURE, GLUCOSE, HOUSE, POTASSIUM, Hospital, Person, money
from tests.flows.running import SERVICES, Running

COMMON = {("lab", "GET", "/lab-tests"), ("lab", "GET", "/lab-tests/{code}"), ("lab", "PUT", "/lab-tests/{code}")}
"""The lab's catalogue belongs to all facilities."""

SIGNED = {("payment", "POST", "/webhooks/card")}
"""Not for tokens."""

ROUTES = [
    (service.name, method, route.path)
    for service in SERVICES
    for route in routes_of(service)
    for method in sorted(route.methods or ())
    if (service.name, method, route.path) not in COMMON | SIGNED
]


@dataclass(frozen=True, slots=True)
class Work:
    """What a facility has: a patient, and something of everything that routes are about."""

    hospital: Hospital
    person: Person
    other: Person
    ids: dict[str, str]

    def bodies(self) -> dict[tuple[str, str, str], dict[str, Any]]:
        """What the staff there could ask for, by route; nothing where a route takes none."""
        patient, label = self.person.id, self.person.label
        because, now = {"reason": "because"}, dict[str, Any]()
        value = {"value": self.hospital.secret("4.6"), "unit": "mmol/L"}
        order = {"patient_id": patient, "tests": [POTASSIUM]}
        return {
            ("facility", "PUT", "/facilities/{facility_id}"): HOUSE,
            ("clinical", "POST", "/patients"): self.hospital.new_person()[1],
            ("clinical", "POST", "/patients/search"): {
                "facility_id": self.hospital.id,
                "medical_record_number": self.person.number,
            },
            ("clinical", "PATCH", "/patients/{patient_id}"): {"sex": "other"},
            ("clinical", "POST", "/patients/{patient_id}/merge"): {"into_patient_id": self.other.id},
            ("clinical", "POST", "/patients/{patient_id}/death"): {"deceased_on": "2026-01-01"},
            ("clinical", "POST", "/encounters"): {"patient_id": patient, "encounter_class": "virtual"},
            ("clinical", "POST", "/encounters/{encounter_id}/arrive"): now,
            ("clinical", "POST", "/encounters/{encounter_id}/start"): now,
            ("clinical", "POST", "/encounters/{encounter_id}/discharge"): now,
            ("clinical", "POST", "/encounters/{encounter_id}/cancel"): because,
            ("clinical", "POST", "/encounters/{encounter_id}/entered-in-error"): because,
            ("lab", "POST", "/lab-orders"): order,
            ("lab", "POST", "/lab-orders/drafts"): order,
            ("lab", "POST", "/lab-orders/{order_id}/hold"): because,
            ("lab", "POST", "/lab-orders/{order_id}/cancel"): because,
            ("lab", "POST", "/lab-orders/{order_id}/samples"): {"label": label},
            ("lab", "POST", "/lab-orders/{order_id}/results"): {"test_code": POTASSIUM, **value},
            ("lab", "POST", "/samples/{sample_id}/receive"): now,
            ("lab", "POST", "/samples/{sample_id}/reject"): {"reason": "clotted"},
            ("lab", "POST", "/lab-results/{result_id}/verify"): now,
            ("lab", "POST", "/lab-results/{result_id}/correct"): value | because,
            ("billing", "PUT", "/prices"): {
                "facility_id": self.hospital.id,
                "code": CULTURE,
                "price": money("1.00"),
                "effective_from": "2020-01-01",
            },
            ("billing", "POST", "/invoices"): {"patient_id": patient, "facility_id": self.hospital.id},
            ("billing", "POST", "/invoices/{invoice_id}/void"): because,
            ("billing", "POST", "/invoices/{invoice_id}/adjustments"): {"amount": money("1.00"), **because},
            ("billing", "POST", "/invoices/{invoice_id}/write-off"): because,
            ("payment", "POST", "/payments"): {"invoice_id": self.ids["invoice_id"], "amount": money("1.00")},
            ("payment", "POST", "/payments/recorded"): {
                "reference": str(uuid4()),
                "patient_id": patient,
                "facility_id": self.hospital.id,
                "amount": money("1.00"),
                "method": "cash",
            },
            ("payment", "POST", "/payments/{payment_id}/card"): {"token": "tok_visa"},
        }


@pytest.fixture(scope="module")
async def work(hospital: Hospital) -> Work:
    """A facility in the middle of its work."""
    person, other = await hospital.registers(), await hospital.registers()
    invoice = await hospital.invoices(person)
    payment = await hospital.ask("payment", "POST", "/payments", hospital.card(invoice, None, "2.00"))
    encounter = await hospital.admits(person)
    order = await hospital.completes(person, GLUCOSE)
    [result] = (await hospital.ask("lab", "GET", f"/lab-orders/{order}/results")).items
    ids = {
        "facility_id": hospital.id,
        "patient_id": person.id,
        "encounter_id": encounter,
        "order_id": order,
        "sample_id": result["sample_id"],
        "result_id": result["result_id"],
        "invoice_id": invoice["invoice_id"],
        "payment_id": payment["payment_id"],
    }
    return Work(hospital, person, other, ids)


@pytest.fixture(scope="module")
async def stranger(running: Running) -> AsyncIterator[Hospital]:
    """The staff of another facility, with every role that there is."""
    stranger = Hospital(running)
    yield stranger
    await stranger.close()


@pytest.mark.parametrize("route", ROUTES, ids=" ".join)
async def test_another_facilitys_things_do_not_exist(
    running: Running, work: Work, stranger: Hospital, route: tuple[str, str, str]
) -> None:
    """404 as for an id that nobody has, or an empty list; and nothing is changed, stored or published."""
    service, method, path = route
    body = work.bodies().get(route)
    before = await running.contents()
    status = 200 if method == "GET" and "{" not in path else 404
    reply = await stranger.begin(service, method, path.format(**work.ids), body, status=status)
    if status == 200:
        assert reply.items == []
    else:
        unknown = {name: str(uuid4()) for name in work.ids}
        assert reply.body == (await stranger.begin(service, method, path.format(**unknown), body, status=404)).body
    assert await running.contents() == before


@pytest.mark.parametrize("route", [each for each in ROUTES if each[1] == "GET" and "{" not in each[2]], ids=" ".join)
async def test_naming_what_one_looks_for_does_not_help(work: Work, stranger: Hospital, route: tuple[str, str, str]) -> None:
    """A list stays empty for who asks for another facility's patient or invoice by their ids; its own staff sees something."""
    service, method, path = route
    asked = {name: work.ids[name] for name in ("patient_id", "invoice_id")} | {"limit": "200"}
    assert (await stranger.begin(service, method, path, params=asked)).items == []
    if path not in {"/credits"}:
        assert (await work.hospital.begin(service, method, path)).items != []


@pytest.mark.parametrize("route", ROUTES, ids=" ".join)
async def test_without_the_role_it_is_refused(running: Running, work: Work, route: tuple[str, str, str]) -> None:
    """403 for a token of the facility itself that carries no role which the route is for."""
    service, method, path = route
    headers = {"Authorization": f"Bearer {work.hospital.token(service, 'gardener')}"}
    before = await running.contents()
    body = work.bodies().get(route)
    reply = await work.hospital.begin(service, method, path.format(**work.ids), body, status=403, headers=headers)
    assert "one of the roles" in reply["detail"]
    assert await running.contents() == before
