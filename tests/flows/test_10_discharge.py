"""Discharge (flow 10, as far as its services exist): what is urgent comes first; then the bed, the bill and the visit end."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from broker.testing import Flow
from contracts.billing import InvoiceDue, InvoiceIssued
from contracts.clinical import DischargeRequested, EncounterDischarged
from contracts.facility import BedReleased, BedStatusChanged
from contracts.lab import LabOrderCancelled, LabOrderPlaced
from tests.flows.beds import admit, furnish, lies_in, state
from tests.flows.hospital import POTASSIUM, Hospital, Person, Reply


async def stays(hospital: Hospital, name: str) -> tuple[Person, str, str]:
    """An inpatient who was measured once, the stay, and its bed."""
    floor = await furnish(hospital, 1, name=name)
    person = await hospital.registers()
    stay = await admit(hospital, person, ward_id=floor.ward)
    await hospital.completes(person, POTASSIUM, encounter=stay)
    return person, stay, floor.beds[0]


async def orders_urgently(hospital: Hospital, person: Person, stay: str) -> Reply:
    """Something has to be measured before anybody goes home."""
    asked = {"patient_id": person.id, "encounter_id": stay, "tests": [POTASSIUM], "priority": "stat"}
    return await hospital.ask("lab", "POST", "/lab-orders", asked)


async def discharge(hospital: Hospital, stay: str, *, status: int = 200, **asked: Any) -> Reply:
    return await hospital.ask("clinical", "POST", f"/encounters/{stay}/discharge", asked, status=status)


async def test_an_inpatient_goes_home(flow: Flow, hospital: Hospital) -> None:
    """Requested, then discharged: the bed is to be cleaned, the invoice is issued, and the house says goodbye."""
    person, stay, bed = await stays(hospital, "home")
    async with flow.started_by(hospital.ask("clinical", "POST", f"/encounters/{stay}/request-discharge")) as f:
        await f.published(DischargeRequested, by="clinical", encounter_id=UUID(stay)).once()
        f.never(BedReleased)
        f.never(EncounterDischarged)
    async with flow.started_by(discharge(hospital, stay)) as f:
        discharged = await f.published(EncounterDischarged, by="clinical", encounter_id=UUID(stay)).once()
        await f.handled(discharged, by=["billing", "facility", "notification"])
        released = await f.published(BedReleased, by="facility", encounter_id=UUID(stay), reason="discharged").once()
        cleaning = await f.published(BedStatusChanged, by="facility", bed_id=UUID(bed), status="cleaning").once()
        await f.handled([released, cleaning], by="clinical")
        issued = await f.published(InvoiceIssued, by="billing", patient_id=UUID(person.id)).once()
        await f.handled(issued, by="notification")
        f.scheduled(InvoiceDue, within=timedelta(days=31))
        await f.again(backwards=True)
    assert await lies_in(hospital, stay) is None
    assert len(await hospital.owed(person)) == 1


async def test_an_urgent_order_keeps_the_patient_here(flow: Flow, hospital: Hospital) -> None:
    """Refused while it is open, and nothing changes; once it is cancelled, nobody is kept."""
    person, stay, bed = await stays(hospital, "kept")
    async with flow.started_by(orders_urgently(hospital, person, stay)) as f:
        await f.handled(await f.published(LabOrderPlaced, by="lab", priority="stat").once(), by="clinical.follow_order")
    order = f.result["order_id"]
    async with flow.started_by(discharge(hospital, stay, status=409)) as f:
        assert f.result["type"] == "urn:nilecare:rule:OpenStatOrdersBlockDischarge"
        f.never(EncounterDischarged)
        f.never(BedReleased)
        f.never(InvoiceIssued)
    assert await state(hospital, bed) == "occupied"
    async with flow.started_by(hospital.ask("lab", "POST", f"/lab-orders/{order}/cancel", {"reason": "not needed"})) as f:
        await f.handled(await f.published(LabOrderCancelled, by="lab").once(), by="clinical.close_order")
    async with flow.started_by(discharge(hospital, stay)) as f:
        await f.published(BedReleased, by="facility").once()
        await f.published(InvoiceIssued, by="billing").once()
        f.scheduled(InvoiceDue, within=timedelta(days=31))


async def test_who_goes_for_a_reason_is_discharged_all_the_same(flow: Flow, hospital: Hospital) -> None:
    """The reason is kept; the order stays open."""
    person, stay, _ = await stays(hospital, "for a reason")
    order = (await orders_urgently(hospital, person, stay))["order_id"]
    async with flow.started_by(discharge(hospital, stay, override_reason="transferred to another house")) as f:
        await f.published(EncounterDischarged, by="clinical").once()
        await f.published(BedReleased, by="facility").once()
        await f.published(InvoiceIssued, by="billing").once()
        f.scheduled(InvoiceDue, within=timedelta(days=31))
        f.never(LabOrderCancelled)
    assert f.result["override_reason"] == "transferred to another house"
    assert (await hospital.shows("lab", f"/lab-orders/{order}"))["status"] == "ordered"
