"""Whether the money adds up to the cent, within billing and between the services."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlalchemy import text

from broker._database import Database

SETTLED = """
    SELECT payment_id, amount, returned_amount,
           (SELECT coalesce(sum(amount), 0) FROM invoice_payment_allocations WHERE receipt_id = receipts.receipt_id)
         + (SELECT coalesce(sum(amount - used_amount), 0) FROM credits WHERE receipt_id = receipts.receipt_id)
    FROM receipts
"""
PAID = "SELECT payment_id, captured_amount FROM payments WHERE status = 'succeeded'"
GIVEN_BACK = """
    SELECT refund_id, amount FROM payment_refunds WHERE status = 'succeeded'
    UNION ALL SELECT dispute_id, amount FROM payment_disputes WHERE status = 'lost'
"""
RETURNED = "SELECT return_id, amount FROM payment_returns"
CHARGED = """
    SELECT invoices.invoice_id, invoices.total_amount, sum(charges.amount), count(*) - count(charges.charge_id)
    FROM invoices JOIN invoice_line_items lines USING (invoice_id) LEFT JOIN charges USING (charge_id)
    WHERE external_reference IS NULL AND invoices.status <> 'void' GROUP BY 1, 2
"""
INVOICED_TWICE = "SELECT count(charge_id) - count(DISTINCT charge_id) FROM invoice_line_items"
NOT_INVOICED = "SELECT count(*) FROM charges WHERE status <> 'invoiced'"
CHARGES = "SELECT coalesce(order_id, procedure_id), code FROM charges"
TESTED = """
    SELECT order_id, test_code FROM lab_order_lines JOIN lab_orders USING (order_id)
    WHERE lab_orders.status = 'completed' AND lab_order_lines.status = 'resulted'
"""
TREATED = "SELECT procedure_id, code FROM procedures"
SUMS = """
    SELECT invoices.invoice_id, total_amount, invoices.allocated_amount, invoices.adjusted_amount,
           sum(lines.amount), sum(lines.allocated_amount), sum(lines.adjusted_amount),
           (SELECT coalesce(sum(amount), 0) FROM invoice_payment_allocations WHERE invoice_id = invoices.invoice_id)
    FROM invoices JOIN invoice_line_items lines USING (invoice_id) GROUP BY 1
"""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that must add up: how many were looked at, how many do not, and how much money it is about."""

    what: str
    looked_at: int
    wrong: int
    amount: Decimal

    @property
    def holds(self) -> bool:
        """Whether all of it adds up."""
        return self.wrong == 0


async def balance(databases: Mapping[str, Database]) -> list[Check]:
    """All that must add up."""
    billing, payment = databases["billing"], databases["payment"]
    sums = await _rows(billing, SUMS)
    return [
        await _services_given(databases),
        Check(
            "invoices = their lines, paid = allocated",
            len(sums),
            sum(row[1:4] != row[4:7] or row[2] != row[7] for row in map(tuple, sums)),
            sum((row[1] for row in sums), Decimal(0)),
        ),
        _payments(await _rows(payment, PAID), await _rows(billing, SETTLED)),
        _given_back(await _rows(payment, GIVEN_BACK), await _rows(billing, RETURNED)),
    ]


def _payments(paid: Iterable[Any], settled: Iterable[Any]) -> Check:
    """Each payment that succeeded has one receipt of its amount; what did not go back of it was allocated or is a credit."""
    amounts = {payment: [(amount, True)] for payment, amount in paid}
    receipts: defaultdict[object, list[tuple[Decimal, bool]]] = defaultdict(list)
    for payment, amount, returned, used in settled:
        receipts[payment].append((amount, amount - returned == used))
    wrong = sum(amounts.get(payment) != receipts.get(payment) for payment in amounts.keys() | receipts.keys())
    total = sum((amount for [(amount, _)] in amounts.values()), Decimal(0))
    return Check("payments = allocations, credits, returns", len(amounts), wrong, total)


def _given_back(given: Iterable[Any], returned: Iterable[Any]) -> Check:
    """Each refund, and each dispute that was lost, is out of billing's books."""
    theirs, ours = Counter(map(tuple, given)), Counter(map(tuple, returned))
    total = sum((amount for _, amount in theirs.elements()), Decimal(0))
    return Check(
        "refunds, lost disputes = billing's returns", theirs.total(), ((theirs - ours) + (ours - theirs)).total(), total
    )


async def _services_given(databases: Mapping[str, Database]) -> Check:
    """Each test and procedure is charged once, each charge is on one invoice, and each invoice is its charges."""
    billing = databases["billing"]
    invoices = await _rows(billing, CHARGED)
    wrong = sum(total != charged or uncharged for _, total, charged, uncharged in invoices)
    for statement in (INVOICED_TWICE, NOT_INVOICED):
        wrong += (await _rows(billing, statement))[0][0]
    charges = Counter(map(tuple, await _rows(billing, CHARGES)))
    done = Counter(map(tuple, [*await _rows(databases["lab"], TESTED), *await _rows(databases["clinical"], TREATED)]))
    wrong += ((charges - done) + (done - charges)).total()
    total = sum((total for _, total, *_ in invoices), Decimal(0))
    return Check("tests and procedures = charges = invoices", len(invoices), int(wrong), total)


async def _rows(database: Database, statement: str) -> list[Any]:
    async with database.engine.connect() as connection:
        return list((await connection.execute(text(statement))).all())
