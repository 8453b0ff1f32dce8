<?php

declare(strict_types=1);

namespace Shop;

use PHPUnit\Framework\TestCase;

final class DiscountTest extends TestCase
{
    public function testTenPercentOff(): void
    {
        self::assertSame(180, apply(200, 10));
    }
}
