"""How an amount is shared out: over lines, in proportion or in order, to the cent."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol, TypeVar
from uuid import UUID

from contracts.money import Money
from services.billing.errors import AdjustmentIsMoreThanTheBalance


class OpenLine(Protocol):
    """A line of an invoice, as allocation sees it."""

    @property
    def priority(self) -> int: ...
    @property
    def position(self) -> int: ...
    @property
    def balance(self) -> Money: ...


Line = TypeVar("Line", bound=OpenLine)


def cover(amount: Money, lines: Iterable[Line]) -> list[tuple[Line, Money]]:
    """How much of `amount` each open line gets: by priority, then as they stand, and never more than is open."""
    shares: list[tuple[Line, Money]] = []
    for line in sorted(lines, key=lambda line: (line.priority, line.position)):
        share = min(amount, line.balance)
        if share:
            shares.append((line, share))
            amount -= share
    return shares


def split(amount: Money, weights: Sequence[Money]) -> list[Money]:
    """`amount` in parts proportional to `weights`, each rounded half to even, the residual in the last.

    The parts are never negative and add up to `amount` exactly. Rounding up many parts may leave less than its due for a
    later one.
    """
    whole = Money.total(weights, amount.currency)
    if not whole:
        raise ValueError("the weights add up to zero")
    parts: list[Money] = []
    left = amount
    for weight in weights[:-1]:
        part = min(Money.of(amount.amount * weight.amount / whole.amount, amount.currency), left)
        parts.append(part)
        left -= part
    return [*parts, left]


def spread(amount: Money, lines: Sequence[Line]) -> list[tuple[Line, Money]]:
    """An adjustment's part on each line, proportional to what is open there. Raises AdjustmentIsMoreThanTheBalance."""
    if amount > Money.total((line.balance for line in lines), amount.currency):
        raise AdjustmentIsMoreThanTheBalance(amount=amount)
    return in_proportion(amount, [(line, line.balance) for line in lines])


def in_proportion(amount: Money, room: Sequence[tuple[Line, Money]]) -> list[tuple[Line, Money]]:
    """Each line's part of `amount`, proportional to the room that it has and never more; together, they have enough.

    The residual falls on the last line; what is more than that line has room for, on the ones before it.
    """
    if not amount:
        return []
    parts = split(amount, [most for _, most in room])
    over = Money.of(0, amount.currency)
    for index, (_, most) in reversed(list(enumerate(room))):
        wanted = parts[index] + over
        parts[index] = min(wanted, most)
        over = wanted - parts[index]
    return [(line, part) for (line, _), part in zip(room, parts, strict=True) if part]


class Allocated(Protocol):
    """An allocation, or the reversal of one, whose amount is negative."""

    @property
    def allocation_id(self) -> UUID: ...
    @property
    def reverses_id(self) -> UUID | None: ...
    @property
    def sequence(self) -> int: ...
    @property
    def share(self) -> Money: ...


Allocation = TypeVar("Allocation", bound=Allocated)


def standing(allocations: Iterable[Allocation]) -> list[tuple[Allocation, Money]]:
    """What still stands of each allocation after its reversals, the newest first; without those of which nothing does."""
    entries = list(allocations)
    left = {entry.allocation_id: entry.share for entry in entries if entry.reverses_id is None}
    for entry in entries:
        if entry.reverses_id is not None:
            left[entry.reverses_id] += entry.share
    originals = sorted((entry for entry in entries if entry.reverses_id is None), key=lambda entry: -entry.sequence)
    return [(entry, left[entry.allocation_id]) for entry in originals if left[entry.allocation_id]]


def take_back(amount: Money, allocations: Iterable[Allocation]) -> list[tuple[Allocation, Money]]:
    """How much of each allocation is reversed to free `amount`: the newest first, and never more than still stands."""
    parts: list[tuple[Allocation, Money]] = []
    for allocation, stands in standing(allocations):
        part = min(amount, stands)
        if part:
            parts.append((allocation, part))
            amount -= part
    return parts
