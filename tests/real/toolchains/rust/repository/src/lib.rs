//! Reduces prices.

/// Returns the price, in cents, reduced by a percentage.
///
/// ```
/// assert_eq!(shop::apply(200, 10), 180);
/// ```
pub fn apply(price: u64, percent: u64) -> u64 {
    price - price * percent / 100
}

#[cfg(test)]
mod tests {
    use super::apply;

    #[test]
    fn nothing_off() {
        assert_eq!(apply(200, 0), 200);
    }
}
