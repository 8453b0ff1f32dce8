<?php

declare(strict_types=1);

namespace Shop;

/** Returns the price, in cents, reduced by a percentage. */
function apply(int $price, int $percent): int
{
    return $price - intdiv($price * $percent, 100);
}
