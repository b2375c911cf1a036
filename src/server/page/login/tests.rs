use super::page;

#[test]
fn who_is_not_logged_in_is_told_how() {
    assert!(page(false, "/").contains("operator.token"));
    assert!(!page(false, "/").contains("That is not"));
    assert!(page(true, "/").contains("That is not the operator's token."));
    // There is nothing live about it.
    assert!(!page(false, "/").contains("<script"));
}
