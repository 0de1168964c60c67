"""Code of an earlier release goes on writing while the tables are those of this one."""

from __future__ import annotations

from uuid import UUID

import pytest
from sqlalchemy import text

from services.billing.tables import Base
from services.billing.tables.base import FollowsMerges
from tests.services.billing.given import FACILITY, PATIENT
from tests.services.kit import Workplace

WRITES = {
    "charges": """
        INSERT INTO charges (charge_id, source_event_id, position, order_id, patient_id, facility_id, code, description,
            service_date, status)
        VALUES (gen_random_uuid(), gen_random_uuid(), 0, gen_random_uuid(), :patient, :facility, 'C', '', '2026-03-01',
            'unpriced')
    """,
    "collection_cases": """
        INSERT INTO collection_cases (case_id, patient_id, facility_id, status, reason, amount, currency, sent_at)
        VALUES (gen_random_uuid(), :patient, :facility, 'open', 'by_decision', 1, 'USD', now())
    """,
    "insurance_policies": """
        INSERT INTO insurance_policies (policy_id, patient_id, facility_id, payer, policy_number, coverage_order,
            effective_from)
        VALUES (gen_random_uuid(), :patient, :facility, 'A payer', 'P-1', 'primary', '2026-03-01')
    """,
    "invoices": """
        INSERT INTO invoices (invoice_id, patient_id, facility_id, kind, status, currency, total_amount, allocated_amount,
            adjusted_amount, state_version)
        VALUES (gen_random_uuid(), :patient, :facility, 'patient', 'draft', 'USD', 1, 0, 0, 1)
    """,
}
"""What it writes, without what it does not know."""


@pytest.mark.parametrize("table", WRITES)
async def test_what_older_code_writes_is_its_patients(billing: Workplace, table: str) -> None:
    """It does not say for whom a row is recorded: for the patient it names."""
    async with billing.transaction() as session:
        await session.execute(text(WRITES[table]), {"patient": PATIENT, "facility": FACILITY})
        recorded_for: UUID | None = await session.scalar(text(f"SELECT recorded_for FROM {table}"))
    assert recorded_for == PATIENT


async def test_every_table_that_follows_merges_fills_it_in(billing: Workplace) -> None:
    """Also those of which a row needs others before it."""
    filled = "SELECT tgrelid::regclass::text FROM pg_trigger WHERE tgname = 'recorded_for_its_patient'"
    async with billing.transaction() as session:
        found = set(await session.scalars(text(filled)))
    follow = {mapper.local_table.name for mapper in Base.registry.mappers if issubclass(mapper.class_, FollowsMerges)}  # type: ignore[attr-defined]
    assert found == follow


async def test_older_code_copies_a_facility_without_its_days(billing: Workplace) -> None:
    """They are those of UTC until the facility's state is heard again."""
    async with billing.transaction() as session:
        write = """
            INSERT INTO facility_reference (id, state_version, deleted, changed_at, received_at, status)
            VALUES (gen_random_uuid(), 1, false, now(), now(), 'active') RETURNING time_zone
        """
        assert await session.scalar(text(write)) == "UTC"
