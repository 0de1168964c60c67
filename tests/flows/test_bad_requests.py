"""Requests that ask for what is not there, not allowed or not possible: always a problem document, and nothing is stored."""

from __future__ import annotations

import json
import time
from datetime import timedelta
from itertools import product
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from broker._tokens import issue_token, new_key
from nilecare.simulator.webhooks import signed
from tests.flows.asked import ROLES, refusal, routes_of_service
from tests.flows.hospital import POTASSIUM, Hospital
from tests.flows.running import Running

BECAUSE = {"reason": "because"}

QUERIES = (
    "limit=0",
    "limit=201",
    "limit=x",
    "limit=1e1",
    "cursor=x",
    "cursor=W10",
    "cursor=%00",
    f"cursor={'W' * 2000}",
)
"""Of no page."""


@pytest.mark.parametrize("service", ROLES)
async def test_an_id_that_nobody_has(running: Running, anybody: dict[str, httpx.AsyncClient], service: str) -> None:
    """404 for a well-formed one, 422 for one that is none; a name that the client chooses may be new, and is made."""
    before = await running.contents(service)
    for route in routes_of_service(service):
        if route.places:
            body = route.body()
            if route.method != "PUT":
                refusal(running, await anybody[service].request(route.method, route.filled(), json=body), 404)
            for none in ("1.", "%00", "%ff", "..%2f..", "'%20OR%201=1--", "\u202e" * 300)[:: 1 if route.method == "GET" else 5]:
                path = route.filled(dict.fromkeys(route.places, none))
                refusal(running, await anybody[service].request(route.method, path, json=body), 404, 422)
    assert await running.contents(service) == before


@pytest.mark.parametrize("service", ROLES)
async def test_a_query_that_is_none(running: Running, anybody: dict[str, httpx.AsyncClient], service: str) -> None:
    """422 for pages, ids and states that do not exist; a text that nothing can have finds nothing, or is refused."""
    lists = [route for route in routes_of_service(service) if route.is_list]
    for route in lists:
        for query in QUERIES if route is lists[0] else QUERIES[:: len(QUERIES) - 1]:
            refusal(running, await anybody[service].get(f"{route.path}?{query}"), 422)
        for name, value in product(route.queries - {"limit", "cursor"}, ("%00", "%ff", "x" * 5000, "[]")):
            response = await anybody[service].get(f"{route.path}?{name}={value}")
            if response.is_error:
                refusal(running, response, 422)
            else:
                assert response.status_code == 200


@pytest.mark.parametrize("service", ROLES)
async def test_a_path_or_method_that_is_none(running: Running, anybody: dict[str, httpx.AsyncClient], service: str) -> None:
    """404 and 405, as problems too."""
    client = anybody[service]
    for path in ("/nothing", "/../../etc/passwd", "/%2e%2e/%2e%2e", "//", "/\u202e"):
        refusal(running, await client.get(path), 404)
    for route in routes_of_service(service):
        refusal(running, await client.request("TRACE", route.filled()), 405)


def tokens(running: Running) -> dict[str, str]:
    """Headers that speak for nobody."""
    hour, roles = timedelta(hours=1), ["clinician", "registrar", "lab_manager", "billing_manager", "cashier"]
    good = running.deployment.token(*roles, subject="x")
    forged = issue_token(new_key(), subject="x", roles=roles, facilities=None, lifetime=hour)
    head, claims, signature = good.split(".")
    return {
        "none": "",
        "empty": "Bearer",
        "garbage": "Bearer x.y.z",
        "of another kind": "Basic eDp5",
        "unsigned": f"Bearer {head}.{claims}.",
        "signed with another key": f"Bearer {forged}",
        "expired": f"Bearer {running.deployment.token(*roles, subject='x', lifetime=-hour)}",
        "cut": f"Bearer {good[:-4]}",
        "with another's signature": f"Bearer {head}.{claims[:-2]}AA.{signature}",
        "without an algorithm": f"Bearer eyJhbGciOiJub25lIn0.{claims}.",
        "endless": f"Bearer {'x' * 20_000}",
    }


@pytest.mark.parametrize("service", ROLES)
async def test_a_token_that_is_none(running: Running, nobody: dict[str, httpx.AsyncClient], service: str) -> None:
    """401 with a challenge, on every route, whatever else is asked; and nothing is stored."""
    before = await running.contents(service)
    none = tokens(running)
    for number, route in enumerate(routes_of_service(service)):
        for header in none.values() if not number else (none["none"], none["signed with another key"]):
            headers = {"Authorization": header} if header else {}
            response = await nobody[service].request(route.method, route.filled(), json=route.body(), headers=headers)
            refusal(running, response, 401)
            assert response.headers["WWW-Authenticate"].startswith("Bearer")
    assert await running.contents(service) == before


async def test_a_command_in_the_wrong_state(running: Running, hospital: Hospital) -> None:
    """409 with the rule that forbids it, by name; and nothing is stored."""
    person = await hospital.registers()
    encounter = await hospital.admits(person)
    order = await hospital.orders(person, POTASSIUM, encounter=encounter)
    sample = await hospital.accepts(order, person)
    result = await hospital.measures(order, POTASSIUM, value=hospital.secret("4.2"), unit="mmol/L")
    await hospital.releases(result)
    await hospital.discharges(encounter)
    [invoice] = await hospital.owed(person)
    paying = await hospital.pays(invoice, "tok_visa")
    value = {"value": hospital.secret("5.5"), "unit": "mmol/L"}
    before = await running.contents()
    for service, path, body, rule in (
        ("clinical", f"/encounters/{encounter}/start", {}, "EncounterCannotBecome"),
        ("clinical", f"/encounters/{encounter}/discharge", {}, "EncounterCannotBecome"),
        ("clinical", f"/encounters/{encounter}/cancel", BECAUSE, "EncounterCannotBecome"),
        ("clinical", f"/patients/{person.id}/unmerge", None, "OnlyAMergedPatientCanBeUnmerged"),
        ("clinical", f"/patients/{person.id}/reactivate", None, "PatientCannotBecome"),
        ("clinical", f"/patients/{person.id}/merge", {"into_patient_id": person.id}, "PatientCannotMergeIntoThemselves"),
        ("lab", f"/lab-orders/{order}/send", None, "OrderCannotBecome"),
        ("lab", f"/lab-orders/{order}/cancel", BECAUSE, "OrderHasResultsAlready"),
        ("lab", f"/lab-orders/{order}/samples", {"label": person.label}, "OrderCannotBecome"),
        ("lab", f"/lab-orders/{order}/results", {"test_code": POTASSIUM, **value}, "TestHasAResultAlready"),
        ("lab", f"/samples/{sample}/reject", {"reason": "clotted"}, "SampleCannotBecome"),
        ("lab", f"/lab-results/{result}/verify", {}, "ResultCannotBecome"),
        ("lab", f"/lab-results/{result}/cancel", None, "ResultCannotBecome"),
        ("billing", f"/invoices/{invoice['invoice_id']}/void", BECAUSE, "OnlyAnUnallocatedInvoiceCanBeVoided"),
        ("billing", f"/invoices/{invoice['invoice_id']}/write-off", BECAUSE, "InvoiceCannotBecome"),
        ("billing", "/invoices", {"patient_id": person.id, "facility_id": hospital.id}, "ThereIsNothingToInvoice"),
        ("payment", "/payments", hospital.card(invoice, "tok_visa"), "InvoiceCannotBePaid"),
        ("payment", f"/payments/{paying['payment_id']}/cancel", None, "PaymentCannotBecome"),
        ("payment", f"/payments/{paying['payment_id']}/card", {"token": "tok_visa"}, "PaymentCannotBecome"),
    ):
        refused = await hospital.begin(service, "POST", path, body, status=409)
        assert refused["type"] == f"urn:nilecare:rule:{rule}"
    assert await running.contents() == before


async def test_a_key_of_another_request(running: Running, hospital: Hospital) -> None:
    """422 for an Idempotency-Key that was used for something else, or that is none."""
    _, asked = hospital.new_person()
    key = {"Idempotency-Key": str(uuid4())}
    await hospital.ask("clinical", "POST", "/patients", asked, headers=key)
    before = await running.contents()
    _, other = hospital.new_person()
    await hospital.begin("clinical", "POST", "/patients", other, headers=key, status=422)
    for none in ("", "x" * 256):
        await hospital.begin("clinical", "POST", "/patients", other, headers={"Idempotency-Key": none}, status=422)
    assert await running.contents() == before


def webhook(**wrong: Any) -> bytes:
    payment = {"id": "pay_1", "reference": str(uuid4()), "status": "captured"}
    return json.dumps({"id": "evt_1", "type": "payment.captured", "data": payment} | wrong).encode()


async def test_a_webhook_that_is_none(running: Running, nobody: dict[str, httpx.AsyncClient]) -> None:
    """400 unless the provider signed it just now, 422 for what it cannot mean; and nothing is kept."""
    secret = running.outside.secret
    now, body = int(time.time()), webhook()
    before = await running.contents()
    for header in (
        None,
        "",
        "t=,v1=",
        "t=x,v1=x",
        f"t={now}",
        f"t={now},v1=\u00e9".encode(),
        signed("another", body, now),
        signed(secret, body, now - 3600),
        signed(secret, body, now + 3600),
        signed(secret, webhook(id="evt_2"), now),
        "t=" + "9" * 900,
    ):
        headers: Any = {"Content-Type": "application/json"} | ({} if header is None else {"Card-Signature": header})
        refusal(running, await nobody["payment"].post("/webhooks/card", content=body, headers=headers), 400)
    for wrong in (b"", b"{", b"[]", b"null", webhook(id=""), webhook(id="\0"), webhook(data={}), webhook(type=["x"])):
        headers = {"Content-Type": "application/json", "Card-Signature": signed(secret, wrong, now)}
        refusal(running, await nobody["payment"].post("/webhooks/card", content=wrong, headers=headers), 422)
    assert await running.contents() == before


async def test_a_flow_that_is_none(hospital: Hospital) -> None:
    """A malformed correlation id is not believed: the response names another flow; one that is well formed is kept."""
    given = uuid4()
    for header, kept in (("x", None), ("1" * 5000, None), (str(given), given)):
        reply = await hospital.begin("clinical", "GET", "/patients", headers={"X-Correlation-ID": header})
        assert isinstance(reply.flow, UUID)
        assert kept in {None, reply.flow}
