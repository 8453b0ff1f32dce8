package shop;

import static org.junit.Assert.assertEquals;

import org.junit.Test;

public class BestTest {
    @Test
    public void largestDiscountCounts() {
        assertEquals(20, Best.of(5, 20, 10));
        assertEquals(0, Best.of());
    }
}
