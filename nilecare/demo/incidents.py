"""What happens once, so that every path is walked: a rejected sample, a corrected result, a merge, a message that is broken."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import date
from decimal import Decimal
from uuid import UUID, uuid4

import aiormq
from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncSession

from broker import Envelope, clock
from broker._context import Cause, caused_by, uuid7
from broker._database import Database
from broker._tables import failed_message
from contracts.lab import LabResultAvailable
from services.clinical import commands as clinical
from services.lab import commands as lab
from services.lab.replicas import EncounterReference, PatientReference
from services.lab.rules import ENDED_ENCOUNTERS
from services.lab.tables import LabOrder, LabResult, LabTest

PATIENCE = 60.0
INTERVAL = 0.1


class Incidents:
    """Each is a flow of its own, through the services' own commands. What cannot happen for lack of patients is left out."""

    def __init__(self, databases: Mapping[str, Database]) -> None:
        self._databases = databases

    async def reject_a_sample(self) -> bool:
        """A sample is haemolysed: its tests are ordered again, on another sample, and charged once."""
        example = await self._an_order()
        if example is None:
            return False
        async with self._doing("lab") as session:
            order_id, test = await _order(session, example.patient_id, example.encounter_id)
            label = (await PatientReference.current(session, example.patient_id)).identifiers
            sample = await lab.collect_sample(session, order_id, label=label)
            await lab.send_sample(session, sample.sample_id)
            await lab.receive_sample(session, sample.sample_id)
            again = await lab.reject_sample(session, sample.sample_id, reason="haemolysed")
        async with self._doing("lab") as session:
            await _carry_out(session, again.order_id, test)
        return True

    async def correct_a_result(self) -> bool:
        """A result was typed wrongly; the record shows both."""
        async with self._doing("lab") as session:
            final = select(LabResult).where(LabResult.status == "final", LabResult.value.is_not(None))
            result = await session.scalar(final.order_by(LabResult.result_id).limit(1))
            if result is None or result.value is None:
                return False
            measured = lab.Measured(value=result.value * 2, unit=result.unit)
            await lab.correct_result(session, result.result_id, measured, reason="transcription error")
        return True

    async def merge_two_patients(self) -> bool:
        """Two records are of one person, whose open order follows to the one that lives on."""
        example = await self._an_order()
        into = example and await self._somebody_else(example)
        if example is None or into is None:
            return False
        async with self._doing("lab") as session:
            order_id, test = await _order(session, example.patient_id, example.encounter_id)
        async with self._doing("clinical") as session:
            await clinical.merge_patients(session, example.patient_id, into_patient_id=into)
        await self._until_the_lab_knows(example.patient_id, into)
        async with self._doing("lab") as session:
            await _carry_out(session, order_id, test)
        return True

    async def treat_a_newcomer(self) -> bool:
        """Somebody new is registered, tested and discharged, without billing: it hears of it all at once, in any order."""
        example = await self._an_order()
        if example is None:
            return False
        encounter_id = uuid4()
        async with self._doing("clinical") as session:
            patient = await clinical.register_patient(
                session,
                facility_id=example.facility_id,
                medical_record_number="NEWCOMER-1",
                full_name="Nobody Newcomer",
                birth_date=date(1990, 1, 1),
                sex="unknown",
            )
            await clinical.plan_encounter(
                session, patient_id=patient.patient_id, encounter_id=encounter_id, encounter_class="emergency"
            )
            await clinical.arrive(session, encounter_id)
            encounter = await clinical.start_encounter(session, encounter_id)
        lab_sessions = self._databases["lab"].transaction
        await PatientReference.wait_for(lab_sessions, patient.patient_id, patient.state_version, seconds=PATIENCE)
        await EncounterReference.wait_for(lab_sessions, encounter_id, encounter.state_version, seconds=PATIENCE)
        async with self._doing("lab") as session:
            order_id, test = await _order(session, patient.patient_id, encounter_id)
            await _carry_out(session, order_id, test)
        async with self._doing("clinical") as session:
            await clinical.discharge(session, encounter_id)
        return True

    @asynccontextmanager
    async def _doing(self, service: str) -> AsyncIterator[AsyncSession]:
        with caused_by(Cause(flow=uuid7())):
            async with self._databases[service].transaction() as session:
                yield session

    async def _an_order(self) -> Row[UUID, UUID, UUID | None] | None:
        """Patient, facility and encounter of one of the orders of those who live."""
        columns = (LabOrder.patient_id, LabOrder.facility_id, LabOrder.encounter_id)
        living = LabOrder.patient_id.in_(select(PatientReference.id).where(PatientReference.status == "active"))
        async with self._databases["lab"].transaction() as session:
            found = select(*columns).where(living).order_by(LabOrder.order_id).limit(1)
            return (await session.execute(found)).one_or_none()

    async def _somebody_else(self, example: Row[UUID, UUID, UUID | None]) -> UUID | None:
        """Another patient of the same facility."""
        others = [PatientReference.facility_id == example.facility_id, PatientReference.id != example.patient_id]
        living = [PatientReference.status == "active", PatientReference.merged_into.is_(None)]
        async with self._databases["lab"].transaction() as session:
            found: UUID | None = await session.scalar(
                select(PatientReference.id).where(*others, *living).order_by(PatientReference.id).limit(1)
            )
            return found

    async def _until_the_lab_knows(self, patient_id: UUID, into: UUID) -> None:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            async with self._databases["lab"].transaction() as session:
                if (await PatientReference.current(session, patient_id)).id == into:
                    return
            await asyncio.sleep(INTERVAL)
        raise TimeoutError(f"the lab did not hear of a merge within {PATIENCE:.0f} seconds")


async def break_a_message(amqp_url: str, account: str, clinical_database: Database) -> str:
    """Sends, with the lab's own account and on its own exchange, a result that says nothing; gives what to call it by.

    Clinical keeps it as a dead letter. Raises TimeoutError when it does not.
    """
    event = LabResultAvailable.contract
    envelope = Envelope(
        id=uuid7(),
        type=event.name,
        source=event.publisher,
        subject=str(uuid4()),
        version=event.version,
        sequence=1,
        flow=uuid7(),
        cause=None,
        trace=None,
        time=clock.now(),
        body=b'{"sent_by": "a program that does not know the contract"}',
    )
    connection = await aiormq.connect(amqp_url)
    try:
        channel = await connection.channel()
        properties = envelope.properties(account)
        await channel.basic_publish(envelope.body, exchange=event.publisher, routing_key=event.name, properties=properties)
    finally:
        await connection.close()
    return f"clinical/{await _position(clinical_database, envelope.id)}"


async def _position(database: Database, message: UUID) -> int:
    """Where a message stands among the dead ones, once it does."""
    dead = select(failed_message.c.position).where(failed_message.c.id == message, failed_message.c.state == "dead")
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        async with database.engine.connect() as connection:
            position = await connection.scalar(dead)
        if position is not None:
            return int(position)
        await asyncio.sleep(INTERVAL)
    raise TimeoutError(f"clinical did not set the broken message aside within {PATIENCE:.0f} seconds")


async def _order(session: AsyncSession, patient_id: UUID, encounter_id: UUID | None) -> tuple[UUID, LabTest]:
    """An order of one test, of the encounter if it still goes on."""
    encounter = encounter_id and await EncounterReference.find(session, encounter_id)
    goes_on = encounter and encounter.status not in ENDED_ENCOUNTERS
    test = (await session.scalars(select(LabTest).where(LabTest.active).order_by(LabTest.code).limit(1))).one()
    order = await lab.place_order(
        session, patient_id=patient_id, tests=[test.code], encounter_id=encounter_id if goes_on else None, priority="urgent"
    )
    return order.order_id, test


async def _carry_out(session: AsyncSession, order_id: UUID, test: LabTest) -> None:
    """Takes a sample of whom the order is for now, measures and verifies."""
    order = await session.get_one(LabOrder, order_id)
    patient = await PatientReference.current(session, order.patient_id)
    sample = await lab.collect_sample(session, order_id, label=patient.identifiers)
    await lab.send_sample(session, sample.sample_id)
    await lab.receive_sample(session, sample.sample_id)
    await lab.accept_sample(session, sample.sample_id)
    value = next((limit for given in test.ranges for limit in (given.low, given.high) if limit is not None), Decimal(1))
    measured = lab.Measured(value=value, unit=test.unit)
    result = await lab.enter_result(session, order_id, test.code, measured)
    await lab.verify_result(session, result.result_id)
