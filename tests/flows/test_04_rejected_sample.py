"""A rejected sample (flow 4): its tests are ordered again, and whatever comes of it is charged once."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from broker.testing import Flow
from contracts.billing import InvoiceDue, InvoiceIssued
from contracts.lab import LabOrderCancelled, LabOrderCompleted, LabOrderPlaced, LabResultAvailable, LabSampleRejected
from tests.flows.hospital import GLUCOSE, POTASSIUM, Hospital, Person, Reply


async def reject(hospital: Hospital, sample: str, reason: str = "haemolysed") -> Reply:
    """Nobody can measure the sample; names the order for a new one."""
    return await hospital.ask("lab", "POST", f"/samples/{sample}/reject", {"reason": reason})


async def measured(hospital: Hospital, order: str, test: str = POTASSIUM) -> str:
    """A result that can be released."""
    unit = {POTASSIUM: "mmol/L", GLUCOSE: "mg/dL"}[test]
    value = hospital.secret("4.2" if test == POTASSIUM else "85.2")
    return await hospital.measures(order, test, value=value, unit=unit)


async def charges(hospital: Hospital, person: Person) -> list[Any]:
    """What the patient was charged for."""
    return (await hospital.ask("billing", "GET", "/charges", params={"patient_id": person.id})).items


@pytest.mark.parametrize("reason", ["haemolysed", "clotted", "short", "mislabelled"])
async def test_a_rejected_sample_is_ordered_again(flow: Flow, hospital: Hospital, reason: str) -> None:
    """The first order is cancelled, the new one names it and belongs to the same encounter; the first costs nothing."""
    person = await hospital.registers()
    encounter = await hospital.admits(person)
    order = await hospital.orders(person, POTASSIUM, encounter=encounter)
    sample = await hospital.samples(order, person)
    async with flow.started_by(reject(hospital, sample, reason)) as f:
        rejected = await f.published(LabSampleRejected, by="lab", order_id=UUID(order), reason=reason).once()
        await f.handled(rejected, by=["clinical", "notification"])
        placed = await f.published(LabOrderPlaced, by="lab", order_id=rejected.event.recollect_order_id).once()
        cancelled = await f.published(LabOrderCancelled, by="lab", order_id=UUID(order)).once()
        await f.handled([placed, cancelled], by="clinical")
        f.never(LabOrderCompleted)
    again = await hospital.shows("lab", f"/lab-orders/{placed.event.order_id}")
    assert (again["recollects"], again["encounter_id"], again["status"]) == (order, encounter, "ordered")
    assert [line["test_code"] for line in again["lines"]] == [POTASSIUM]
    assert (await hospital.shows("lab", f"/lab-orders/{order}"))["status"] == "cancelled"
    assert await charges(hospital, person) == []


async def test_a_second_sample_is_charged_once(flow: Flow, hospital: Hospital) -> None:
    """Also when it is the third that can be used: one result in the record, one charge, one line on the invoice."""
    person = await hospital.registers()
    encounter = await hospital.admits(person)
    order = await hospital.orders(person, POTASSIUM, encounter=encounter)
    second = (await reject(hospital, await hospital.samples(order, person)))["order_id"]
    third = (await reject(hospital, await hospital.samples(second, person), "clotted"))["order_id"]
    await hospital.accepts(third, person)
    result = await measured(hospital, third)
    async with flow.started_by(hospital.releases(result)) as f:
        await f.handled(await f.published(LabResultAvailable, order_id=UUID(third)).once(), by=["clinical", "ehr"])
        await f.handled(await f.published(LabOrderCompleted, order_id=UUID(third)).once(), by="billing")
        await f.again(backwards=True)
    [[entry], _] = await hospital.record(person)
    assert entry["order_id"] == third
    [charge] = await charges(hospital, person)
    assert (charge["order_id"], charge["encounter_id"], charge["code"]) == (third, encounter, POTASSIUM)
    async with flow.started_by(hospital.discharges(encounter)) as f:
        issued = await f.published(InvoiceIssued, by="billing").once()
        f.scheduled(InvoiceDue, within=timedelta(days=31))
    assert str(issued.event.total.amount) == charge["price"]["amount"]


async def test_each_test_is_charged_where_its_result_is(flow: Flow, hospital: Hospital) -> None:
    """Of two samples one is rejected: what the good one showed is charged with the first order, the rest with the second."""
    person = await hospital.registers()
    order = await hospital.orders(person, POTASSIUM, GLUCOSE)
    label = {"label": person.label}
    good, bad = [
        (await hospital.begin("lab", "POST", f"/lab-orders/{order}/samples", label | {"test_codes": [test]}))["sample_id"]
        for test in (POTASSIUM, GLUCOSE)
    ]
    for sample in (good, bad):
        await hospital.begin("lab", "POST", f"/samples/{sample}/send")
        await hospital.begin("lab", "POST", f"/samples/{sample}/receive", {})
    await hospital.begin("lab", "POST", f"/samples/{good}/accept")
    result = await measured(hospital, order)
    async with flow.started_by(hospital.releases(result)) as f:
        f.never(LabOrderCompleted)
    assert await charges(hospital, person) == []
    async with flow.started_by(reject(hospital, bad)) as f:
        await f.handled(await f.published(LabOrderCompleted, order_id=UUID(order)).once(), by="billing")
        f.never(LabOrderCancelled)
    assert [charge["code"] for charge in await charges(hospital, person)] == [POTASSIUM]
    again = f.result["order_id"]
    await hospital.accepts(again, person)
    rest = await measured(hospital, again, GLUCOSE)
    async with flow.started_by(hospital.releases(rest)) as f:
        await f.handled(await f.published(LabOrderCompleted, order_id=UUID(again)).once(), by="billing")
    charged = {charge["order_id"]: charge["code"] for charge in await charges(hospital, person)}
    assert charged == {order: POTASSIUM, again: GLUCOSE}
