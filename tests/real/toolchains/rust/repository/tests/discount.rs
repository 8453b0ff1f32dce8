#[test]
fn all_off() {
    assert_eq!(shop::apply(200, 100), 0);
}
