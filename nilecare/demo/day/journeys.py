"""What happens to whom: the table of a day, and a column of steps for each kind of visit."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import date
from typing import Any

from nilecare.demo.day.desk import until
from nilecare.demo.day.hospital import Hospital
from nilecare.demo.day.opening import SUTURE
from nilecare.demo.day.paying import Desk
from nilecare.demo.day.people import Patient
from nilecare.demo.day.visits import Visit, registered
from nilecare.synthea.panels import PANELS, Panel

METABOLIC, LIPIDS, BLOOD_COUNT, DIABETES = PANELS
POTASSIUM = Panel("potassium", METABOLIC.price, tuple(each for each in METABOLIC.analytes if each.name == "Potassium"))
HAEMOGLOBIN = Panel("haemoglobin", BLOOD_COUNT.price, tuple(each for each in BLOOD_COUNT.analytes if each.code == "718-7"))

AT_ONCE = 6
"""Patients who are looked after at once."""


class Day:
    """A day of the hospital. `say` is told how many patients are through; `seen` counts what happened, in words."""

    def __init__(self, hospital: Hospital, *, seed: int, today: date, say: Callable[[int], Awaitable[None]]) -> None:
        self.hospital = hospital
        self.desk = Desk(hospital)
        self.seen: Counter[str] = Counter()
        self.plans: list[dict[str, Any]] = []
        self._chance = random.Random(seed)  # noqa: S311 - it must be repeatable
        self._today = today
        self._say = say
        self._through = 0
        self._room = asyncio.Semaphore(AT_ONCE)

    async def run(self, patients: list[Patient]) -> None:
        """Everybody comes, some at once. Raises what goes wrong for good."""
        async with asyncio.TaskGroup() as everybody:
            for number, patient in enumerate(patients):
                everybody.create_task(self._one(number, patient))

    async def _one(self, number: int, patient: Patient) -> None:
        journey, what = JOURNEYS[number % len(JOURNEYS)]
        async with self._room:
            await journey(self, patient)
        self.seen[what] += 1
        self._through += 1
        await self._say(self._through)

    async def visit(self, patient: Patient, shows: str) -> Visit:
        """The visit of somebody who is registered for it."""
        patient_id = await registered(self.hospital, patient)
        return Visit(self.hospital, patient, patient_id, self.hospital.flow(shows), self._chance)

    async def check_up(self, patient: Patient) -> None:
        """Tested, and paid by card."""
        visit = await self.visit(patient, "A visit, from the door to the invoice")
        await visit.begins()
        await visit.is_examined()
        await visit.is_tested(METABOLIC)
        await visit.is_written_down()
        await visit.ends()
        await self.desk.by_card(await self.desk.invoice_of(visit))

    async def critical_result(self, patient: Patient) -> None:
        """A result is dangerous: the ward is called, and reads it back."""
        visit = await self.visit(patient, "A critical result is called and read back")
        await visit.begins("emergency")
        await visit.is_examined()
        [first] = await visit.is_tested(POTASSIUM, priority="stat", critical=True)
        call = {"callee_id": self.hospital.the("clinician").user_id, "read_back": first["value"]}
        path = f"/lab-results/{first['result_id']}/critical-call"
        await self.hospital.as_("technician", "lab", path, call, flow=visit.flow)
        await visit.ends()
        await self.desk.by_card(await self.desk.invoice_of(visit))

    async def spoilt_sample(self, patient: Patient) -> None:
        """A sample is haemolysed: it is taken again, and the test charged once."""
        visit = await self.visit(patient, "A sample is rejected and taken again")
        await visit.begins()
        order = await visit.has_ordered(HAEMOGLOBIN)
        again = await visit.is_sampled(order, usable=False)
        await visit.is_sampled(again)
        await visit.is_measured(again, HAEMOGLOBIN)
        await visit.ends()
        await self.desk.by_card(await self.desk.invoice_of(visit))

    async def stay(self, patient: Patient) -> None:
        """A bed, a note that a trainee writes and a clinician signs as well, and cash at the end."""
        ward = "Women" if patient.sex == "female" else "Men"
        visit = await self.visit(patient, "An admission to a bed, until the bed is free again")
        await visit.begins("inpatient", ward_id=self.hospital.wards[ward])
        bed = await self.lies_in(visit)
        await visit.is_examined()
        await visit.is_tested(HAEMOGLOBIN, priority="urgent")
        note = await visit.is_written_down("trainee")
        await self.hospital.as_("clinician", "ehr", f"/notes/{note}/cosign", flow=visit.flow)
        await visit.ends()
        await self.is_cleaned(bed)
        await self.desk.in_cash(await self.desk.invoice_of(visit))

    async def isolation(self, patient: Patient) -> None:
        """There is one room to isolate somebody in: the next one waits for it."""
        visit = await self.visit(patient, "Somebody waits for a bed, and gets the next that is free")
        await visit.begins("inpatient", isolation=True)
        bed = await self.lies_in(visit)
        await visit.is_examined()
        await visit.ends()
        await self.is_cleaned(bed)
        await self.desk.by_card(await self.desk.invoice_of(visit))

    async def instalments(self, patient: Patient) -> None:
        """The invoice is paid in three parts."""
        visit = await self.visit(patient, "A visit that is paid in instalments")
        await visit.begins()
        await visit.is_treated(SUTURE, "Simple repair of a wound")
        await visit.is_tested(LIPIDS)
        await visit.ends()
        self.plans.append(await self.desk.in_parts(await self.desk.invoice_of(visit), self._today))

    async def dispute_won(self, patient: Patient) -> None:
        """The payer disputes the payment, and the bank believes the hospital."""
        await self._disputed(patient, won=True)

    async def dispute_lost(self, patient: Patient) -> None:
        """The payer disputes the payment and gets the money: the invoice is open again."""
        await self._disputed(patient, won=False)

    async def _disputed(self, patient: Patient, *, won: bool) -> None:
        visit = await self.visit(patient, "A visit that is disputed about")
        await visit.begins()
        await visit.is_tested(DIABETES)
        await visit.ends()
        await self.desk.disputed(await self.desk.invoice_of(visit), won=won)

    async def correction(self, patient: Patient) -> None:
        """A result was typed wrongly: the records show both. Too much was charged: some of it goes back."""
        visit = await self.visit(patient, "A result is corrected")
        await visit.begins()
        [result] = await visit.is_tested(DIABETES)
        corrected = {"value": str(round(float(result["value"]) + 1, 1)), "unit": result["unit"], "reason": "typed wrongly"}
        await self.hospital.as_("pathologist", "lab", f"/lab-results/{result['result_id']}/correct", corrected, flow=visit.flow)
        await visit.ends()
        payment = await self.desk.by_card(await self.desk.invoice_of(visit), "tok_visa")
        await self.desk.refunded(payment, "5.00")

    async def two_records(self, patient: Patient) -> None:
        """Somebody is registered twice, and the two records become one while a test is under way."""
        visit = await self.visit(patient, "Two records of one person are merged")
        await visit.begins()
        order = await visit.has_ordered(DIABETES)
        again = replace(patient, medical_record_number=f"{patient.medical_record_number}-B")
        other = await registered(self.hospital, again)
        into = {"into_patient_id": other}
        await self.hospital.as_("registrar", "clinical", f"/patients/{visit.patient_id}/merge", into, flow=visit.flow)
        visit.patient, visit.patient_id = again, other
        await self.known_as(order, other)
        await visit.is_sampled(order)
        await visit.is_measured(order, DIABETES)
        await visit.ends()
        await self.desk.by_card(await self.desk.invoice_of(visit))

    async def unpaid(self, patient: Patient) -> None:
        """The invoice is left lying: a month later it is overdue."""
        visit = await self.visit(patient, "A visit that nobody pays for")
        await visit.begins()
        await visit.is_examined()
        await visit.ends()
        await self.desk.invoice_of(visit)

    async def lies_in(self, visit: Visit) -> str:
        """The bed that a patient got, once there was one."""

        async def occupied() -> str | None:
            manager, path = self.hospital.the("bed_manager"), f"/facilities/{self.hospital.facility_id}/beds"
            beds = await manager.list("facility", path, encounter_id=visit.encounter_id)
            return next((str(bed["bed_id"]) for bed in beds if bed["status"] == "occupied"), None)

        return await until("a bed", occupied)

    async def is_cleaned(self, bed: str) -> None:
        """A bed that was left can be used again."""
        manager = self.hospital.the("bed_manager")

        async def left() -> bool | None:
            return (await manager.ask("facility", "GET", f"/beds/{bed}"))["status"] == "cleaning" or None

        await until("a bed to clean", left)
        await manager.ask("facility", "POST", f"/beds/{bed}/clean")

    async def known_as(self, order: str, patient_id: str) -> None:
        """Returns when the lab knows for whom an order is now."""

        async def heard() -> bool | None:
            shown = await self.hospital.the("technician").ask("lab", "GET", f"/lab-orders/{order}")
            return shown["patient_id"] == patient_id or None

        await until("the lab's word of a merge", heard)

    async def a_month_later(self) -> None:
        """The second instalments are due, and paid."""
        for plan in self.plans:
            await self.desk.instalment(plan, 2)


JOURNEYS: tuple[tuple[Callable[[Day, Patient], Awaitable[None]], str], ...] = (
    (Day.check_up, "were tested and paid by card"),
    (Day.critical_result, "had a critical result, which was called and read back"),
    (Day.stay, "lay in a bed, and paid in cash"),
    (Day.isolation, "were isolated, one after the other in one room"),
    (Day.isolation, "were isolated, one after the other in one room"),
    (Day.instalments, "pay in instalments"),
    (Day.spoilt_sample, "had to give another sample"),
    (Day.dispute_won, "said that they did not mean to pay, and were not believed"),
    (Day.correction, "had a result corrected, and money back"),
    (Day.two_records, "had two records, which were merged"),
    (Day.dispute_lost, "said that they did not mean to pay, and were believed"),
    (Day.unpaid, "did not pay"),
)
"""Who comes, in this order, again and again; and what is said of them at the end."""
