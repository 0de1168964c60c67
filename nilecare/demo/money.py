"""Whether the money adds up to the cent: against the files that were loaded, and between the services."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from sqlalchemy import text

from broker._database import Database

BALANCES = """
    SELECT external_reference, total_amount - allocated_amount - adjusted_amount FROM invoices
    WHERE external_reference IS NOT NULL
"""
SETTLED = """
    SELECT payment_id, amount,
           (SELECT coalesce(sum(amount), 0) FROM invoice_payment_allocations WHERE receipt_id = receipts.receipt_id)
         + (SELECT coalesce(sum(amount), 0) FROM credits WHERE receipt_id = receipts.receipt_id)
    FROM receipts
"""
PAID = "SELECT payment_id, captured_amount AS amount FROM payments WHERE status = 'succeeded'"
CHARGED = """
    SELECT invoices.invoice_id, invoices.total_amount, sum(charges.amount), count(*) - count(charges.charge_id)
    FROM invoices JOIN invoice_line_items lines USING (invoice_id) LEFT JOIN charges USING (charge_id)
    WHERE external_reference IS NULL AND invoices.status <> 'void' GROUP BY 1, 2
"""
INVOICED_TWICE = """
    SELECT count(charge_id) - count(DISTINCT charge_id) FROM invoice_line_items
"""
NOT_INVOICED = "SELECT count(*) FROM charges WHERE status <> 'invoiced'"
CHARGES = "SELECT order_id, code FROM charges"
DONE = """
    SELECT order_id, test_code FROM lab_order_lines JOIN lab_orders USING (order_id)
    WHERE lab_orders.status = 'completed' AND lab_order_lines.status = 'resulted'
"""
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


async def balance(databases: Mapping[str, Database], folder: Path) -> list[Check]:
    """All that must add up. folder: the files that were loaded."""
    billing = databases["billing"]
    sums = await _rows(billing, SUMS)
    return [
        _claims(owed_by_claim(folder), dict(await _rows(billing, BALANCES))),
        _payments(await _rows(databases["payment"], PAID), await _rows(billing, SETTLED)),
        await _laboratory(databases),
        Check(
            "invoices = their lines, paid = allocated",
            len(sums),
            sum(row[1:4] != row[4:7] or row[2] != row[7] for row in map(tuple, sums)),
            sum((row[1] for row in sums), Decimal(0)),
        ),
    ]


def owed_by_claim(folder: Path) -> dict[str, Decimal]:
    """Charges minus payments of each claim in Synthea's files."""
    with (folder / "claims.csv").open(newline="") as file:
        owed = {row["Id"]: Decimal(0) for row in csv.DictReader(file)}
    with (folder / "claims_transactions.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            match row["TYPE"]:
                case "CHARGE":
                    owed[row["CLAIMID"]] += Decimal(row["AMOUNT"])
                case "PAYMENT":
                    owed[row["CLAIMID"]] -= Decimal(row["PAYMENTS"])
    return owed


def _claims(owed: Mapping[str, Decimal], balances: Mapping[str, Decimal]) -> Check:
    wrong = sum(owed.get(claim) != balances.get(claim) for claim in owed.keys() | balances.keys())
    return Check("claims in the files = balances in billing", len(owed), wrong, sum(owed.values(), Decimal(0)))


def _payments(paid: Iterable[Any], settled: Iterable[Any]) -> Check:
    """Each payment that succeeded has one receipt of its amount, which was allocated or became a credit."""
    amounts = {payment: [amount, amount] for payment, amount in paid}
    receipts: defaultdict[object, list[Decimal]] = defaultdict(list)
    for payment, amount, used in settled:
        receipts[payment] += [amount, used]
    wrong = sum(amounts.get(payment) != receipts.get(payment) for payment in amounts.keys() | receipts.keys())
    total = sum((amount for amount, _ in amounts.values()), Decimal(0))
    return Check("payments = their allocations and credits", len(amounts), wrong, total)


async def _laboratory(databases: Mapping[str, Database]) -> Check:
    """Each test done is charged once, each charge is on one invoice, and each invoice is its charges."""
    billing = databases["billing"]
    invoices = await _rows(billing, CHARGED)
    wrong = sum(total != charged or uncharged for _, total, charged, uncharged in invoices)
    for statement in (INVOICED_TWICE, NOT_INVOICED):
        wrong += (await _rows(billing, statement))[0][0]
    charges = sorted(map(tuple, await _rows(billing, CHARGES)))
    wrong += charges != sorted(map(tuple, await _rows(databases["lab"], DONE)))
    total = sum((total for _, total, *_ in invoices), Decimal(0))
    return Check("laboratory tests = charges = invoices", len(invoices), int(wrong), total)


async def _rows(database: Database, statement: str) -> list[Any]:
    async with database.engine.connect() as connection:
        return list((await connection.execute(text(statement))).all())
