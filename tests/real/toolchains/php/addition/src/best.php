<?php

declare(strict_types=1);

namespace Shop;

/** Returns the largest of the discounts, 0 without any. */
function best(int ...$discounts): int
{
    return max(0, ...$discounts);
}
