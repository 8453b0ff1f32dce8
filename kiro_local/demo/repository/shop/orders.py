"""An order and its lines. Money is ``Decimal``, in whole cents."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True)
class Line:
    """A quantity of one article at a unit price."""

    article: str
    quantity: int
    price: Decimal


@dataclass(frozen=True)
class Order:
    """A customer's purchase."""

    lines: tuple[Line, ...] = ()

    def total(self) -> Decimal:
        """The sum of all lines."""
        return sum((line.quantity * line.price for line in self.lines), Decimal("0.00"))
