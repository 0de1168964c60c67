"""The lab over HTTP. A token sees the orders of its facilities; any other order does not exist for it."""

from __future__ import annotations

from typing import Annotated, TypeVar
from uuid import UUID

from fastapi import Path
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from broker import Idempotent, Page, PageRequest, Principal, Reading, Router, Transaction, allow
from services.lab import commands
from services.lab.replicas import PatientReference
from services.lab.rules import OrderStatus
from services.lab.tables import LabOrder, LabResult, LabTest, ResultCorrection, Sample
from services.lab.views import (
    AskedCorrection,
    AskedOrder,
    AskedResult,
    AskedSample,
    AskedTest,
    Code,
    CorrectionView,
    Moment,
    OrderView,
    Reason,
    Rejection,
    ResultView,
    SampleView,
    TestView,
)

Clinician = Annotated[Principal, allow("clinician")]
Technician = Annotated[Principal, allow("technician")]
Pathologist = Annotated[Principal, allow("pathologist")]
LabManager = Annotated[Principal, allow("lab_manager")]
Staff = Annotated[Principal, allow("clinician", "technician", "pathologist", "lab_manager")]

Seen = TypeVar("Seen", LabOrder, Sample, LabResult)

router = Router(tags=["lab"])


async def visible(session: AsyncSession, who: Principal, kind: type[Seen], key: UUID) -> Seen:
    """The row, if the token may see its facility. Raises NotFound."""
    row = await kind.seen(session, key)
    who.at(row.facility_id)
    return row


@router.put("/lab-tests/{code}")
async def define_test(code: Annotated[Code, Path()], asked: AskedTest, session: Transaction, who: LabManager) -> TestView:
    """Puts a test into the catalogue, or changes all that the catalogue says of it."""
    given = dict(asked) | {"ranges": [range_.given() for range_ in asked.ranges]}
    return TestView.model_validate(await commands.define_test(session, code, **given))


@router.get("/lab-tests")
async def list_tests(session: Reading, who: Staff, page: PageRequest) -> Page[TestView]:
    """The catalogue."""
    return await page.read(session, select(LabTest), by=[LabTest.code], view=TestView.model_validate)


@router.get("/lab-tests/{code}")
async def get_test(code: str, session: Reading, who: Staff) -> TestView:
    """A test of the catalogue, with its reference ranges."""
    return TestView.model_validate(await LabTest.seen(session, code))


@router.post("/lab-orders", status_code=201)
async def place_order(asked: AskedOrder, session: Transaction, who: Clinician, key: Idempotent) -> OrderView:
    """Orders tests for a patient. 409 `urn:nilecare:not-yet` when the lab has not heard of the patient yet: try again."""
    who.at((await PatientReference.current(session, asked.patient_id)).facility_id)
    return OrderView.model_validate(await commands.place_order(session, **dict(asked), ordered_by=who.user_id))


@router.post("/lab-orders/drafts", status_code=201)
async def draft_order(asked: AskedOrder, session: Transaction, who: Clinician, key: Idempotent) -> OrderView:
    """Prepares an order, of which nobody hears until it is sent."""
    who.at((await PatientReference.current(session, asked.patient_id)).facility_id)
    return OrderView.model_validate(await commands.draft_order(session, **dict(asked), ordered_by=who.user_id))


@router.get("/lab-orders")
async def list_orders(
    session: Reading, who: Staff, page: PageRequest, patient_id: UUID | None = None, status: OrderStatus | None = None
) -> Page[OrderView]:
    """The orders of the token's facilities, the newest first; of one patient, or in one state, where asked for."""
    query = select(LabOrder).where(who.within(LabOrder.facility_id))
    if patient_id is not None:
        query = query.where(LabOrder.patient_id == patient_id)
    if status is not None:
        query = query.where(LabOrder.status == status)
    by = [LabOrder.placed_at.desc(), LabOrder.order_id.desc()]
    return await page.read(session, query, by=by, view=OrderView.model_validate)


@router.get("/lab-orders/{order_id}")
async def get_order(order_id: UUID, session: Reading, who: Staff) -> OrderView:
    """One order, with its tests."""
    return OrderView.model_validate(await visible(session, who, LabOrder, order_id))


@router.post("/lab-orders/{order_id}/send")
async def send_order(order_id: UUID, session: Transaction, who: Clinician, key: Idempotent) -> OrderView:
    """Places an order that was a draft."""
    await visible(session, who, LabOrder, order_id)
    return OrderView.model_validate(await commands.send_order(session, order_id))


@router.post("/lab-orders/{order_id}/hold")
async def hold_order(order_id: UUID, asked: Reason, session: Transaction, who: Staff, key: Idempotent) -> OrderView:
    """Nothing more happens to the order until it is resumed."""
    await visible(session, who, LabOrder, order_id)
    return OrderView.model_validate(await commands.hold_order(session, order_id, **dict(asked)))


@router.post("/lab-orders/{order_id}/resume")
async def resume_order(order_id: UUID, session: Transaction, who: Staff, key: Idempotent) -> OrderView:
    """Goes on with the order from where it was put on hold."""
    await visible(session, who, LabOrder, order_id)
    return OrderView.model_validate(await commands.resume_order(session, order_id))


@router.post("/lab-orders/{order_id}/cancel")
async def cancel_order(order_id: UUID, asked: Reason, session: Transaction, who: Clinician, key: Idempotent) -> OrderView:
    """Gives the order up."""
    await visible(session, who, LabOrder, order_id)
    return OrderView.model_validate(await commands.cancel_order(session, order_id, **dict(asked)))


@router.post("/lab-orders/{order_id}/samples", status_code=201)
async def collect_sample(order_id: UUID, asked: AskedSample, session: Transaction, who: Staff, key: Idempotent) -> SampleView:
    """A sample was taken; its label must show two identifiers of the patient."""
    await visible(session, who, LabOrder, order_id)
    given = dict(asked) | {"label": asked.label.shown()}
    return SampleView.model_validate(await commands.collect_sample(session, order_id, **given))


@router.get("/lab-orders/{order_id}/samples")
async def list_samples(order_id: UUID, session: Reading, who: Staff, page: PageRequest) -> Page[SampleView]:
    """The samples that were taken for the order."""
    await visible(session, who, LabOrder, order_id)
    query = select(Sample).where(Sample.order_id == order_id)
    return await page.read(session, query, by=[Sample.collected_at, Sample.sample_id], view=SampleView.model_validate)


@router.post("/samples/{sample_id}/send")
async def send_sample(sample_id: UUID, session: Transaction, who: Staff, key: Idempotent) -> SampleView:
    """The sample is on its way to the lab."""
    await visible(session, who, Sample, sample_id)
    return SampleView.model_validate(await commands.send_sample(session, sample_id))


@router.post("/samples/{sample_id}/receive")
async def receive_sample(sample_id: UUID, asked: Moment, session: Transaction, who: Technician, key: Idempotent) -> SampleView:
    """The sample is in the lab."""
    await visible(session, who, Sample, sample_id)
    return SampleView.model_validate(await commands.receive_sample(session, sample_id, **dict(asked)))


@router.post("/samples/{sample_id}/accept")
async def accept_sample(sample_id: UUID, session: Transaction, who: Technician, key: Idempotent) -> SampleView:
    """The sample can be measured."""
    await visible(session, who, Sample, sample_id)
    return SampleView.model_validate(await commands.accept_sample(session, sample_id))


@router.post("/samples/{sample_id}/reject", status_code=201)
async def reject_sample(sample_id: UUID, asked: Rejection, session: Transaction, who: Technician, key: Idempotent) -> OrderView:
    """The sample cannot be used; gives the order for a new one."""
    await visible(session, who, Sample, sample_id)
    return OrderView.model_validate(await commands.reject_sample(session, sample_id, **dict(asked)))


@router.post("/samples/{sample_id}/store")
async def store_sample(sample_id: UUID, session: Transaction, who: Technician, key: Idempotent) -> SampleView:
    """The sample is kept."""
    await visible(session, who, Sample, sample_id)
    return SampleView.model_validate(await commands.store_sample(session, sample_id))


@router.post("/samples/{sample_id}/dispose")
async def dispose_of_sample(sample_id: UUID, session: Transaction, who: Technician, key: Idempotent) -> SampleView:
    """The sample is no longer kept."""
    await visible(session, who, Sample, sample_id)
    return SampleView.model_validate(await commands.dispose_of_sample(session, sample_id))


@router.post("/lab-orders/{order_id}/results", status_code=201)
async def enter_result(
    order_id: UUID, asked: AskedResult, session: Transaction, who: Technician, key: Idempotent
) -> ResultView:
    """Notes what a test showed; nobody hears of it until it is verified."""
    await visible(session, who, LabOrder, order_id)
    result = await commands.enter_result(session, order_id, asked.test_code, asked.measured())
    return ResultView.model_validate(result)


@router.get("/lab-orders/{order_id}/results")
async def list_results(order_id: UUID, session: Reading, who: Staff, page: PageRequest) -> Page[ResultView]:
    """The results of the order."""
    await visible(session, who, LabOrder, order_id)
    query = select(LabResult).where(LabResult.order_id == order_id)
    return await page.read(session, query, by=[LabResult.entered_at, LabResult.result_id], view=ResultView.model_validate)


@router.get("/lab-results/{result_id}")
async def get_result(result_id: UUID, session: Reading, who: Staff) -> ResultView:
    """One result."""
    return ResultView.model_validate(await visible(session, who, LabResult, result_id))


@router.post("/lab-results/{result_id}/verify")
async def verify_result(result_id: UUID, asked: Moment, session: Transaction, who: Pathologist, key: Idempotent) -> ResultView:
    """Releases the result to those who treat the patient."""
    await visible(session, who, LabResult, result_id)
    return ResultView.model_validate(await commands.verify_result(session, result_id, **dict(asked)))


@router.post("/lab-results/{result_id}/cancel")
async def cancel_result(result_id: UUID, session: Transaction, who: Technician, key: Idempotent) -> ResultView:
    """Gives up a result that was not released yet."""
    await visible(session, who, LabResult, result_id)
    return ResultView.model_validate(await commands.cancel_result(session, result_id))


@router.post("/lab-results/{result_id}/correct")
async def correct_result(
    result_id: UUID, asked: AskedCorrection, session: Transaction, who: Pathologist, key: Idempotent
) -> ResultView:
    """Says what a released result should have said."""
    await visible(session, who, LabResult, result_id)
    result = await commands.correct_result(session, result_id, asked.measured(), reason=asked.reason)
    return ResultView.model_validate(result)


@router.get("/lab-results/{result_id}/corrections")
async def list_corrections(result_id: UUID, session: Reading, who: Staff, page: PageRequest) -> Page[CorrectionView]:
    """What the result said before, in the order of the corrections."""
    await visible(session, who, LabResult, result_id)
    query = select(ResultCorrection).where(ResultCorrection.result_id == result_id)
    by = [ResultCorrection.corrected_at, ResultCorrection.correction_id]
    return await page.read(session, query, by=by, view=CorrectionView.model_validate)
