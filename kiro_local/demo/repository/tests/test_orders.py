from __future__ import annotations

import unittest
from decimal import Decimal

from shop.orders import Line, Order


class OrderTotal(unittest.TestCase):
    def test_an_empty_order_costs_nothing(self) -> None:
        self.assertEqual(Order().total(), Decimal("0.00"))

    def test_lines_add_up(self) -> None:
        order = Order((Line("tea", 2, Decimal("4.50")), Line("cup", 1, Decimal("12.00"))))
        self.assertEqual(order.total(), Decimal("21.00"))


if __name__ == "__main__":
    unittest.main()
