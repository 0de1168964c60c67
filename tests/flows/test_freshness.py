"""How fresh replicas are: one's own write is there when one goes on elsewhere; and each that has to knows how old it is."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any
from uuid import UUID

import pytest

from broker.testing import Flow
from contracts.lab import LabOrderPlaced
from services.lab.replicas import PatientReference
from tests.flows.hospital import POTASSIUM, Hospital
from tests.flows.running import Running


async def test_an_order_for_a_patient_who_was_registered_this_moment(
    flow: Flow, hospital: Hospital, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lab has not heard of the patient: it refuses an order, and takes one that says what it comes after, once it has."""
    waits, wait_for = asyncio.Event(), PatientReference.wait_for

    async def watched(*args: Any, **more: Any) -> None:
        waits.set()
        await wait_for(*args, **more)

    monkeypatch.setattr(PatientReference, "wait_for", watched)
    _, asked = hospital.new_person()
    async with flow.started_by() as f:
        async with flow.late("lab.patient_reference"):
            registered = await hospital.ask("clinical", "POST", "/patients", asked)
            wrote, patient = registered.headers["X-Wrote"], registered["patient_id"]
            assert wrote.startswith(f"patient.changed;{patient};")
            order = {"patient_id": patient, "tests": [POTASSIUM]}
            early = await hospital.ask("lab", "POST", "/lab-orders", order, status=409)
            assert early["type"] == "urn:nilecare:not-yet"
            request = partial(hospital.client("lab").post, "/lab-orders", json=order, headers={"X-Read-After": wrote})
            asking = asyncio.create_task(request())
            await asyncio.wait([asking, asyncio.create_task(waits.wait())], return_when=asyncio.FIRST_COMPLETED)
            assert not asking.done()
        await f.replica(PatientReference, UUID(patient)).reaches()
        taken = await asking
        if taken.status_code == 503:  # on a slow machine, not in time: it is asked again
            taken = await request()
        placed = await f.published(LabOrderPlaced, by="lab").once()
    assert (taken.status_code, str(placed.event.patient_id)) == (201, patient)


async def test_a_replica_knows_how_old_it_is(running: Running) -> None:
    """Auth has answered the health record, which was filled: since then its age counts."""
    assert 'nilecare_replica_age_seconds{replica="user_reference"}' in await running.metrics()
