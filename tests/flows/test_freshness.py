"""How fresh replicas are: one's own write is there when one goes on elsewhere; and each that has to knows how old it is."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from services.lab.replicas import PatientReference
from tests.flows.hospital import POTASSIUM, Hospital
from tests.flows.running import Running
from tests.waiting import until


async def test_an_order_for_a_patient_who_was_registered_this_moment(
    running: Running, hospital: Hospital, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lab has not heard of the patient: it refuses an order, and takes one that says what it comes after, once it has."""
    waits, wait_for = asyncio.Event(), PatientReference.wait_for

    async def watched(*args: Any, **more: Any) -> None:
        waits.set()
        await wait_for(*args, **more)

    monkeypatch.setattr(PatientReference, "wait_for", watched)
    async with running.held_back("lab.patient_reference"):
        _, asked = hospital.new_person()
        registered = await hospital.begin("clinical", "POST", "/patients", asked)
        wrote = registered.headers["X-Wrote"]
        assert wrote.startswith(f"patient.changed;{registered['patient_id']};")
        order = {"patient_id": registered["patient_id"], "tests": [POTASSIUM]}
        early = await hospital.begin("lab", "POST", "/lab-orders", order, status=409)
        assert early["type"] == "urn:nilecare:not-yet"

        async def is_taken() -> Any:
            taken = await hospital.client("lab").post("/lab-orders", json=order, headers={"X-Read-After": wrote})
            assert taken.status_code in (201, 503), taken.text  # 503: not in time on a slow machine, to be asked again
            return taken.json() if taken.is_success else None

        asking = asyncio.create_task(until(is_taken))
        await asyncio.wait([asking, asyncio.create_task(waits.wait())], return_when=asyncio.FIRST_COMPLETED)
        assert not asking.done()
    assert (await asking)["patient_id"] == order["patient_id"]
    await running.settled()


async def test_a_replica_knows_how_old_it_is(running: Running) -> None:
    """Auth has answered the health record, which was filled: since then its age counts."""

    async def has_age() -> bool:
        return 'nilecare_replica_age_seconds{replica="user_reference"}' in await running.metrics()

    await until(has_age)
