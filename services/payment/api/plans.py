"""Paying in parts, over HTTP. An instalment is paid as its invoice is: the oldest is settled first."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select

from broker import Idempotent, Page, PageRequest, Reading, Router, Transaction
from services.payment import commands
from services.payment.api.roles import Clerk, Reader
from services.payment.replicas import InvoiceReference
from services.payment.rules import PlanStatus
from services.payment.tables import InstallmentPlan
from services.payment.views import plans as views

router = Router(tags=["instalment plans"])


@router.post("/installment-plans", status_code=201)
async def agree_plan(asked: views.NewPlan, who: Clerk, session: Transaction, key: Idempotent) -> views.Plan:
    """Cuts what is open on an invoice into instalments, a month apart."""
    who.at((await InvoiceReference.require(session, asked.invoice_id)).facility_id)
    terms = commands.Terms(**asked.model_dump(exclude={"invoice_id"}))
    return views.Plan.model_validate(await commands.agree_plan(session, asked.invoice_id, terms, who.subject))


@router.get("/installment-plans")
async def list_plans(
    who: Reader,
    session: Reading,
    page: PageRequest,
    invoice_id: UUID | None = None,
    patient_id: UUID | None = None,
    status: PlanStatus | None = None,
) -> Page[views.Plan]:
    """Plans, the oldest first."""
    plan = InstallmentPlan
    asked = {plan.invoice_id: invoice_id, plan.patient_id: patient_id, plan.status: status}
    given = [column == value for column, value in asked.items() if value is not None]
    query = select(plan).where(who.within(plan.facility_id), *given)
    return await page.read(session, query, by=[plan.agreed_at, plan.plan_id], view=views.Plan.model_validate)


@router.get("/installment-plans/{plan_id}")
async def show_plan(plan_id: UUID, who: Reader, session: Reading) -> views.Plan:
    """A plan, with its instalments."""
    plan = await InstallmentPlan.seen(session, plan_id)
    who.at(plan.facility_id)
    return views.Plan.model_validate(plan)
