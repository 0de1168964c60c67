"""Billing alone: what others say comes from stand-ins, or from a recording of the running hospital."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from broker import Service
from broker.servers import Servers
from broker.testing import Deployment, Flow, World, deployed, example_of
from contracts.billing import InvoiceChanged, InvoiceDue, InvoiceIssued
from contracts.clinical import EncounterDischarged, PatientChanged, PatientRegistered
from contracts.facility import FacilityChanged
from contracts.lab import LabOrderCompleted, OrderedTest
from contracts.money import Money
from nilecare.schemas import FOLDER
from services.billing.app import service

DISCHARGE = Path(__file__).parent / "discharge.jsonl"
ENCOUNTER, PATIENT, FACILITY = (f"00000000-0000-4000-8000-00000000000{number}" for number in (1, 2, 3))
POTASSIUM = OrderedTest(code="2823-3", name="Potassium")
PRICE = Money.of("12.50")


@pytest.fixture(scope="module")
def services_under_test() -> Sequence[Service]:
    """Only billing."""
    return [service]


@pytest.fixture(scope="module")
async def deployment(servers: Servers, services_under_test: Sequence[Service]) -> AsyncIterator[Deployment]:
    """It at work, with stand-ins for the others."""
    async with deployed(servers, services_under_test, World()) as deployment:
        deployment.schemas = FOLDER
        yield deployment


@pytest.fixture
async def facility(flow: Flow) -> UUID:
    """One that is open, and has a price."""
    said = example_of(FacilityChanged, status="active")
    await flow.told(said)
    price = {"facility_id": str(said.facility_id), "code": POTASSIUM.code, "price": PRICE.model_dump(mode="json")}
    async with flow.deployment.client("billing", flow.deployment.token("billing_manager")) as client:
        (await client.put("/prices", json={**price, "effective_from": "2020-01-01"})).raise_for_status()
    return said.facility_id


async def measured(flow: Flow, facility: UUID) -> LabOrderCompleted:
    """A patient for whom something was measured, and is charged."""
    patient = example_of(PatientChanged, facility_id=facility, status="active")
    await flow.told(patient)
    await flow.told(example_of(PatientRegistered, patient_id=patient.patient_id, facility_id=facility))
    completed = example_of(
        LabOrderCompleted, patient_id=patient.patient_id, facility_id=facility, encounter_id=uuid4(), tests=(POTASSIUM,)
    )
    return (await flow.told(completed)).event


async def test_a_discharge_is_invoiced(flow: Flow, facility: UUID) -> None:
    """As the examples of the contracts say it."""
    order = await measured(flow, facility)
    discharged = example_of(
        EncounterDischarged, encounter_id=order.encounter_id, patient_id=order.patient_id, facility_id=facility
    )
    async with flow.started_by(flow.told(discharged)) as f:
        issued = await f.published(InvoiceIssued, by="billing").once()
        f.scheduled(InvoiceDue, within=timedelta(days=31))
    assert issued.event.total == PRICE


async def test_a_discharge_that_was_recorded_is_invoiced_again(flow: Flow, facility: UUID) -> None:
    """As often as it is replayed, with what was said before it set up."""
    for _ in range(2):
        order = await measured(flow, facility)
        assert order.encounter_id is not None
        ids = {ENCOUNTER: order.encounter_id, PATIENT: order.patient_id, FACILITY: facility}
        async with flow.replayed(DISCHARGE, to=["billing"], ids=ids) as f:
            issued = await f.published(InvoiceIssued).once()
            await f.published(InvoiceChanged, invoice_id=issued.event.invoice_id, status="issued").once()
            f.scheduled(InvoiceDue, within=timedelta(days=31))
        assert (issued.event.patient_id, issued.event.total) == (order.patient_id, PRICE)


async def test_what_billing_no_longer_does_is_told(flow: Flow, facility: UUID) -> None:
    """Without a charge there is no invoice, as there was one in the recording."""
    patient = (await flow.told(example_of(PatientChanged, facility_id=facility, status="active"))).event.patient_id
    with pytest.raises(AssertionError, match=r"after encounter\.discharged billing said invoice\.issued never, and once"):
        async with flow.replayed(DISCHARGE, to=["billing"], ids={PATIENT: patient, FACILITY: facility}):
            pass
