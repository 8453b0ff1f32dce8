package shop;

public final class Discount {
    private Discount() {}

    public static int apply(int price, int percent) {
        return price - price * percent / 100;
    }
}
