package shop;

import java.util.stream.IntStream;

public final class Best {
    private Best() {}

    public static int of(int... discounts) {
        return IntStream.of(discounts).max().orElse(0);
    }
}
