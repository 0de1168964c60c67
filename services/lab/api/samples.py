"""Samples over HTTP."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select

from broker import Idempotent, Page, PageRequest, Reading, Router, Transaction, visible
from services.lab import commands
from services.lab.api.access import Staff, Technician
from services.lab.tables import LabOrder, Sample
from services.lab.views import AskedSample, Moment, OrderView, Rejection, SampleView

router = Router()


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
    """The sample cannot be used; gives the order for a new one, or the first order where none is taken any more."""
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
