"""The broker is away while every service writes: then every replica says what its owner says (flow 26, without the fill)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from broker.testing import Deployment, Flow, faults
from contracts.billing import InvoiceDue
from nilecare.demo.agreement import Agreement, agreements
from tests.flows.beds import furnish
from tests.flows.hospital import HOUSE, POTASSIUM, Hospital, Person
from tests.flows.running import Running
from tests.flows.staff import Colleague, administrator, engaged


@dataclass(frozen=True, slots=True)
class Work:
    """Something of every service's, known to the others before the broker goes."""

    hospital: Hospital
    clinician: Colleague
    nurse: Colleague
    person: Person
    encounter: str
    bed: str
    unpaid: Any
    wrong: tuple[Any, Any]

    @classmethod
    async def of(cls, hospital: Hospital) -> Work:
        """All of it is there, and over."""
        clinician, nurse = await engaged(hospital, "clinician"), await engaged(hospital, "nurse")
        await nurse.signs_in()
        person = await hospital.registers()
        unpaid, *wrong = [await hospital.invoices(each) for each in (person, *[await hospital.registers() for _ in range(2)])]
        encounter, floor = await hospital.admits(person), await furnish(hospital, 1, name="a ward")
        await hospital.orders(person, POTASSIUM, encounter=encounter)
        await hospital.running.settled()
        return cls(hospital, clinician, nurse, person, encounter, floor.beds[0], unpaid, (wrong[0], wrong[1]))

    async def goes_on(self, again: bool) -> None:
        """Everybody writes, which needs nobody else; `again`: and takes some of it back."""
        patient = {"patient_id": self.person.id}
        invoice = self.wrong[again]["invoice_id"]
        bed = ("unblock", None) if again else ("take-out-of-service", {"to": "blocked"})
        requests: list[tuple[str, str, str, Any]] = [
            ("facility", "PUT", f"/facilities/{self.hospital.id}", HOUSE | {"name": f"Khartoum General, {again}"}),
            ("facility", "POST", f"/beds/{self.bed}/{bed[0]}", bed[1]),
            ("clinical", "PATCH", f"/patients/{self.person.id}", {"full_name": self.hospital.secret("Amal Hassan ")}),
            ("clinical", "POST", "/patients", self.hospital.new_person()[1]),
            ("clinical", "POST", "/encounters", patient | {"encounter_class": "ambulatory"}),
            ("lab", "POST", "/lab-orders", patient | {"tests": [POTASSIUM], "encounter_id": self.encounter}),
            ("billing", "POST", f"/invoices/{invoice}/void", {"reason": "wrong payer"}),
            ("payment", "POST", "/payments", self.hospital.card(self.unpaid, "tok_visa", "1.00")),
            ("notification", "PUT", "/me/preferences", {"topic": "ward.full", "channel": "sms", "wanted": again}),
        ]
        for request in requests:
            await self.hospital.begin(*request)
        await self._signs_a_note()
        method = "DELETE" if again else "POST"
        path, by = f"/users/{self.nurse.user_id}/suspension", administrator(self.hospital)
        await self.hospital.begin("auth", method, path, headers=by)

    async def _signs_a_note(self) -> None:
        content = {"kind": "progress", "text": self.hospital.secret("the patient slept ")}
        asked = {"patient_id": self.person.id, "encounter_id": self.encounter, "content": content}
        token = self.hospital.token("ehr", "clinician", user=self.clinician.user_id)
        headers = {"Authorization": f"Bearer {token}"}
        note = await self.hospital.begin("ehr", "POST", "/notes", asked, headers=headers)
        await self.hospital.begin("ehr", "POST", f"/notes/{note['note_id']}/sign", headers=headers)


async def compared(running: Running) -> dict[str, Agreement]:
    """Every replica, held against its owner by id, version and content."""
    deployment = running.deployment
    return await agreements({service: deployment.databases[name] for name, service in deployment.services.items()})


async def replicas(running: Running) -> dict[str, str]:
    """What every replica holds, to the last column."""
    names = {
        f"{service.name} {replica.__table__.schema or 'public'}.{replica.__tablename__}"
        for service in running.deployment.services.values()
        for replica in service.replicated
    }
    held = await running.contents()
    return {name: held[name] for name in names}


async def writing(deployment: Deployment) -> set[str]:
    """The services in whose outboxes something lies."""
    sight = deployment.flows.sight()
    await sight.look()
    return {said.service for said in sight.said if said.sent is None}


async def test_every_replica_equals_its_owner_after_an_outage(running: Running, flow: Flow, hospital: Hospital) -> None:
    """Ten minutes without the broker: all that was written waits in the outboxes of all services, and then arrives.

    Whatever of it is delivered once more, backwards, remembered or not, changes no replica.
    """
    work = await Work.of(hospital)
    async with flow.started_by() as f:
        with flow.without_broker():
            await work.goes_on(again=False)
            await flow.advance(minutes=10)
            await work.goes_on(again=True)
            assert await writing(running.deployment) == set(running.deployment.services)
            behind = {name for name, agreement in (await compared(running)).items() if not agreement.in_step}
            assert {f"{name}.patient" for name in ("billing", "ehr", "facility", "lab", "notification", "payment")} <= behind
            assert {"lab.facility", "clinical.bed", "ehr.encounter", "payment.invoice", "notification.user"} <= behind
        f.scheduled(InvoiceDue, within=timedelta(days=31))  # what was voided is invoiced anew
        sight = await f.over()
        await running.settled()
        assert await writing(running.deployment) == set()
        assert {name: each for name, each in (await compared(running)).items() if not each.in_step} == {}
        held = await replicas(running)
        await f.again(backwards=True)
        await faults.anew(running.deployment, [said for said in sight.said if said.type.endswith("changed")])
    assert await replicas(running) == held
    await flow.advance(hours=1)  # whoever said that something waits says that it does no more
