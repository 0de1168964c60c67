"""A facility that is deactivated: nothing new begins there, in any service, until it is active again."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from broker.testing import Flow
from contracts.billing import InvoiceDue, InvoiceIssued
from contracts.clinical import EncounterDischarged
from contracts.facility import FacilityChanged
from tests.flows.beds import admit, clean, furnish, lies_in, plan
from tests.flows.hospital import POTASSIUM, Hospital, Reply
from tests.flows.running import Running

KEEPERS = ["auth", "billing", "clinical", "lab", "notification", "payment"]
"""The services that keep a copy of facilities."""


async def switch(hospital: Hospital, to: str) -> Reply:
    """The facility is deactivated, or activated."""
    return await hospital.ask("facility", "POST", f"/facilities/{hospital.id}/{to}")


async def test_nothing_begins_at_a_facility_that_is_not_active(running: Running, flow: Flow, hospital: Hospital) -> None:
    """No registration, encounter, admission, order or invoice: each refused by name, and possible when it is active again."""
    person = await hospital.registers()
    await hospital.completes(person, POTASSIUM)
    stay = await plan(hospital, person)
    await hospital.ask("clinical", "POST", f"/encounters/{stay}/arrive", {})
    begins: list[tuple[str, str, Any]] = [
        ("clinical", "/patients", hospital.new_person()[1]),
        ("clinical", "/encounters", {"patient_id": person.id, "encounter_class": "ambulatory"}),
        ("clinical", f"/encounters/{stay}/start", {}),
        ("lab", "/lab-orders", {"patient_id": person.id, "tests": [POTASSIUM], "priority": "routine"}),
        ("billing", "/invoices", {"patient_id": person.id, "facility_id": hospital.id}),
    ]
    async with flow.started_by(switch(hospital, "deactivate")) as f:
        await f.handled(await f.published(FacilityChanged, by="facility", status="inactive").once(), by=KEEPERS)
    before = await running.contents()
    for service, path, asked in begins:
        refused = await hospital.begin(service, "POST", path, asked, status=409)
        assert refused["type"] == "urn:nilecare:rule:FacilityIsNotActive", (service, path)
    assert await running.contents() == before
    async with flow.started_by(switch(hospital, "activate")) as f:
        await f.handled(await f.published(FacilityChanged, by="facility", status="active").once(), by=KEEPERS)
    for service, path, asked in begins:
        await hospital.ask(service, "POST", path, asked)
    await hospital.discharges(stay)


async def test_what_was_done_before_is_invoiced_when_the_facility_is_active_again(flow: Flow, hospital: Hospital) -> None:
    """A discharge is a fact: it is recorded, its charges stay open, and the invoice is issued by itself at the activation."""
    person = await hospital.registers()
    encounter = await hospital.admits(person)
    await hospital.completes(person, POTASSIUM, encounter=encounter)
    await switch(hospital, "deactivate")
    async with flow.started_by(hospital.discharges(encounter)) as f:
        await f.handled(await f.published(EncounterDischarged, by="clinical").once(), by="billing")
        f.never(InvoiceIssued)
    async with flow.started_by(switch(hospital, "activate")) as f:
        await f.handled(await f.published(FacilityChanged).once(), by="billing.invoice_what_waited")
        await f.published(InvoiceIssued, by="billing", patient_id=UUID(person.id)).once()
        f.scheduled(InvoiceDue, within=timedelta(days=31))
    [invoice] = await hospital.owed(person)
    assert (invoice["encounter_id"], invoice["status"]) == (encounter, "issued")


async def test_a_facility_is_not_deactivated_over_its_patients_heads(flow: Flow, hospital: Hospital) -> None:
    """Refused while somebody lies in a bed or is expected; and everything goes on."""
    floor = await furnish(hospital, 1, name="in use")
    stay = await admit(hospital, await hospital.registers(), ward_id=floor.ward)
    assert await lies_in(hospital, stay) == floor.beds[0]
    deactivate = hospital.ask("facility", "POST", f"/facilities/{hospital.id}/deactivate", status=409)
    async with flow.started_by(deactivate) as f:
        assert f.result["type"] == "urn:nilecare:rule:FacilityHasPatients"
        f.never(FacilityChanged)
    await hospital.registers()
    await hospital.discharges(stay)
    await clean(hospital, floor.beds[0])
