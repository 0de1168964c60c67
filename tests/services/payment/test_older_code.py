"""Code of the release before goes on writing while the tables are those of this one."""

from __future__ import annotations

from sqlalchemy import text

from tests.services.kit import Workplace
from tests.services.payment.given import FACILITY, PATIENT

WRITES = """
    INSERT INTO payments (payment_id, patient_id, facility_id, amount, captured_amount, currency, method, status, capture,
        is_asked, is_unwanted, flow, initiated_at, state_version)
    VALUES (gen_random_uuid(), :patient, :facility, 1, 0, 'USD', 'card', 'failed', 'automatic', false, false,
        gen_random_uuid(), now(), 1)
    RETURNING recorded_for
"""
"""What it writes, without what it does not know."""


async def test_what_older_code_writes_is_its_patients(payment: Workplace) -> None:
    """It does not say for whom a payment is recorded: for the patient it names."""
    async with payment.transaction() as session:
        assert await session.scalar(text(WRITES), {"patient": PATIENT, "facility": FACILITY}) == PATIENT
