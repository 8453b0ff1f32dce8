<?php

declare(strict_types=1);

namespace Shop;

require_once __DIR__ . '/../src/best.php';

use PHPUnit\Framework\TestCase;

final class BestTest extends TestCase
{
    public function testLargestDiscountCounts(): void
    {
        self::assertSame(20, best(5, 20, 10));
    }
}
