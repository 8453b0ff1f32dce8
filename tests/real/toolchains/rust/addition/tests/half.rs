#[test]
fn half_off() {
    assert_eq!(shop::apply(200, 50), 100);
}
