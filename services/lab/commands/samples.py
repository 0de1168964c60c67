"""What the lab can be asked to do with samples."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from broker import clock, publish
from contracts.lab import LabSampleCollected, LabSampleRejected, RejectionReason
from services.lab import rules
from services.lab.commands.follow_ups import conclude, recollect
from services.lab.commands.work import working_on
from services.lab.errors import SampleWasTakenForThisTestAlready
from services.lab.replicas import PatientReference
from services.lab.tables import LabOrder, OrderLine, Sample


async def collect_sample(
    session: AsyncSession,
    order_id: UUID,
    *,
    label: Mapping[str, str],
    test_codes: Collection[str] | None = None,
    sample_id: UUID | None = None,
    at: datetime | None = None,
) -> Sample:
    """A sample was taken for some tests of an order: for those that have none yet, when not said which.

    label: the patient's identifiers that the sample shows, by name (`rules.IDENTIFIERS`); they are compared and not kept.
    Raises NotFound, OrderCannotBecome, SampleNeedsTwoIdentifiers, SampleLabelDoesNotMatchThePatient,
    TestIsNotPartOfTheOrder, SampleWasTakenForThisTestAlready, TimeIsInTheFuture.
    """
    order = await working_on(session, order_id)
    patient = await PatientReference.require(session, order.patient_id)
    rules.check_label(label, patient.identifiers)
    order.status = rules.order_after_collection(order.status)
    sample = Sample(
        sample_id=sample_id or uuid4(),
        order_id=order_id,
        facility_id=order.facility_id,
        status="collected",
        identifiers=sorted(rules.IDENTIFIERS & label.keys()),
        collected_at=rules.check_happened(at or clock.now(), clock.now()),
    )
    for line in _lines_to_sample(order, test_codes):
        line.sample = sample
    session.add(sample)
    publish(session, LabSampleCollected.of(sample, patient_id=order.patient_id))
    return sample


async def send_sample(session: AsyncSession, sample_id: UUID) -> Sample:
    """The sample is on its way to the lab. Raises NotFound, SampleCannotBecome."""
    _, sample = await _moved(session, sample_id, "in_transit")
    return sample


async def receive_sample(session: AsyncSession, sample_id: UUID, *, at: datetime | None = None) -> Sample:
    """The sample is in the lab. Raises NotFound, SampleCannotBecome, TimeIsInTheFuture."""
    _, sample = await _moved(session, sample_id, "received")
    sample.received_at = rules.check_happened(at or clock.now(), clock.now())
    return sample


async def accept_sample(session: AsyncSession, sample_id: UUID) -> Sample:
    """The sample can be measured. Raises NotFound, SampleCannotBecome, OrderCannotBecome."""
    order, sample = await _moved(session, sample_id, "accepted")
    sample.accepted_at = clock.now()
    order.status = rules.order_after_acceptance(order.status)
    return sample


async def reject_sample(session: AsyncSession, sample_id: UUID, *, reason: RejectionReason) -> LabOrder:
    """The sample cannot be used: its tests go on in a new order for another sample, which is given back.

    The first order ends without them, and they are charged with the order that brings their results. Where no other sample is
    taken any more (`rules.is_sampled_again`) they are given up, no sample is said to be awaited, and the first order is given.
    Raises NotFound, SampleCannotBecome, OrderCannotBecome, NotYet.
    """
    order, sample = await _moved(session, sample_id, "rejected")
    sample.rejection_reason, sample.rejected_at = reason, clock.now()
    again = await recollect(session, order, sample)
    if again is not None:
        told = {"patient_id": order.patient_id, "reason": reason, "recollect_order_id": again.order_id}
        publish(session, LabSampleRejected.of(sample, **told))
    conclude(session, order, reason=f"sample {reason}")
    return again or order


async def store_sample(session: AsyncSession, sample_id: UUID) -> Sample:
    """The sample is kept. Raises NotFound, SampleCannotBecome."""
    _, sample = await _moved(session, sample_id, "stored")
    return sample


async def dispose_of_sample(session: AsyncSession, sample_id: UUID) -> Sample:
    """The sample is no longer kept. Raises NotFound, SampleCannotBecome."""
    _, sample = await _moved(session, sample_id, "disposed")
    return sample


def _lines_to_sample(order: LabOrder, test_codes: Collection[str] | None) -> list[OrderLine]:
    unsampled = [line.test_code for line in order.lines if line.sample_id is None]
    lines = [order.line(code) for code in (unsampled if test_codes is None else test_codes)]
    if not lines or any(line.sample_id is not None for line in lines):
        raise SampleWasTakenForThisTestAlready(order_id=order.order_id)
    return lines


async def _moved(session: AsyncSession, sample_id: UUID, to: rules.SampleStatus) -> tuple[LabOrder, Sample]:
    order = await working_on(session, (await Sample.seen(session, sample_id)).order_id)
    sample = await Sample.locked(session, sample_id)
    sample.become(to)
    return order, sample
