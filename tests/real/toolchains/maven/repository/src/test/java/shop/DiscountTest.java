package shop;

import static org.junit.Assert.assertEquals;

import org.junit.Test;

public class DiscountTest {
    @Test
    public void tenPercentOff() {
        assertEquals(90, Discount.apply(100, 10));
    }
}
