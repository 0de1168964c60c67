"""What is done with and for a patient, step by step, each by whoever does it in a hospital."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from nilecare.demo.day.hospital import Hospital
from nilecare.demo.day.opening import CONSULTATION
from nilecare.demo.day.people import Patient
from nilecare.synthea.panels import Analyte, Panel
from nilecare.synthea.ranges import ranges_of


@dataclass
class Visit:
    """A patient's visit, which is one flow from the door to the invoice."""

    hospital: Hospital
    patient: Patient
    patient_id: str
    flow: UUID
    chance: random.Random
    encounter_id: str = ""

    async def begins(self, encounter_class: str = "ambulatory", **needs: Any) -> None:
        """The patient is expected, here, and seen."""
        asked = {"patient_id": self.patient_id, "encounter_class": encounter_class, **needs}
        self.encounter_id = (await self._do("registrar", "clinical", "/encounters", asked))["encounter_id"]
        await self._do("registrar", "clinical", f"/encounters/{self.encounter_id}/arrive")
        await self._do("nurse", "clinical", f"/encounters/{self.encounter_id}/start")

    async def ends(self) -> None:
        """The patient goes home."""
        await self._do("clinician", "clinical", f"/encounters/{self.encounter_id}/discharge")

    async def is_examined(self) -> None:
        """A nurse charts the vital signs, a clinician makes a diagnosis; the consultation is charged."""
        vitals = {
            "encounter_id": self.encounter_id,
            "systolic_mmhg": self.chance.randint(105, 140),
            "diastolic_mmhg": self.chance.randint(65, 88),
            "pulse_per_minute": self.chance.randint(58, 92),
        }
        await self._do("nurse", "clinical", f"/patients/{self.patient_id}/vitals", vitals)
        diagnosis = {"encounter_id": self.encounter_id, "code": "I10", "status": "confirmed"}
        await self._do("clinician", "clinical", f"/patients/{self.patient_id}/diagnoses", diagnosis)
        await self.is_treated(CONSULTATION, "Office visit")

    async def is_treated(self, code: str, description: str) -> None:
        """Something is done that is charged."""
        asked = {"encounter_id": self.encounter_id, "code": code, "description": description}
        await self._do("clinician", "clinical", f"/patients/{self.patient_id}/procedures", asked)

    async def is_written_down(self, author: str = "clinician") -> str:
        """A note is written and signed; gives its id."""
        content = {"kind": "soap", "subjective": "Feels well.", "objective": "Nothing new.", "assessment": "-", "plan": "-"}
        asked = {"patient_id": self.patient_id, "encounter_id": self.encounter_id, "content": content}
        note = await self._do(author, "ehr", "/notes", asked)
        await self._do(author, "ehr", f"/notes/{note['note_id']}/sign")
        return str(note["note_id"])

    async def is_tested(self, panel: Panel, *, priority: str = "routine", critical: bool = False) -> list[dict[str, Any]]:
        """A panel is ordered, sampled, measured and released; gives the results, the first of them critical if asked for."""
        order = await self.has_ordered(panel, priority=priority)
        await self.is_sampled(order)
        return await self.is_measured(order, panel, critical=critical)

    async def has_ordered(self, panel: Panel, *, priority: str = "routine") -> str:
        """An order; gives its id."""
        asked = {
            "patient_id": self.patient_id,
            "encounter_id": self.encounter_id,
            "tests": [analyte.code for analyte in panel.analytes],
            "priority": priority,
        }
        return str((await self._do("clinician", "lab", "/lab-orders", asked))["order_id"])

    async def is_sampled(self, order: str, *, usable: bool = True) -> str:
        """A sample comes to the lab, which takes or rejects it; gives the order that goes on."""
        label = {"label": self.patient.label}
        sample = (await self._do("technician", "lab", f"/lab-orders/{order}/samples", label))["sample_id"]
        await self._do("technician", "lab", f"/samples/{sample}/send")
        await self._do("technician", "lab", f"/samples/{sample}/receive")
        if usable:
            await self._do("technician", "lab", f"/samples/{sample}/accept")
            return order
        rejection = {"reason": "haemolysed"}
        return str((await self._do("technician", "lab", f"/samples/{sample}/reject", rejection))["order_id"])

    async def is_measured(self, order: str, panel: Panel, *, critical: bool = False) -> list[dict[str, Any]]:
        """Each test of an order has a result, which is released."""
        results = []
        for number, analyte in enumerate(panel.analytes):
            value = _critical(analyte) if critical and not number else self._value(analyte)
            asked = {"test_code": analyte.code, "value": value, "unit": analyte.unit}
            result = await self._do("technician", "lab", f"/lab-orders/{order}/results", asked)
            await self._do("pathologist", "lab", f"/lab-results/{result['result_id']}/verify")
            results.append(result)
        return results

    async def _do(self, role: str, service: str, path: str, body: Any = None) -> Any:
        return await self.hospital.as_(role, service, path, body, flow=self.flow)

    def _value(self, analyte: Analyte) -> str:
        return f"{max(self.chance.gauss(analyte.mean, analyte.deviation), 10**-analyte.decimals):.{analyte.decimals}f}"


def _critical(analyte: Analyte) -> str:
    """Somewhat above what is dangerous."""
    limits = [given.limits.danger_high for given in ranges_of(analyte.code) if given.limits.danger_high is not None]
    return str(max(limits) + 1)


async def registered(hospital: Hospital, patient: Patient) -> str:
    """Somebody becomes a patient; gives the id."""
    asked = {
        "facility_id": hospital.facility_id,
        "medical_record_number": patient.medical_record_number,
        "full_name": patient.full_name,
        "birth_date": patient.birth_date,
        "sex": patient.sex,
        "email": patient.email,
        "phone": patient.phone,
        "street": patient.street,
        "city": patient.city,
    }
    flow = hospital.flow("A patient is registered")
    return str((await hospital.as_("registrar", "clinical", "/patients", asked, flow=flow))["patient_id"])
