use super::page;

#[test]
fn who_is_not_logged_in_is_told_how() {
    assert!(page(None, "/").contains("operator.token"));
    assert!(!page(None, "/").contains("That is not"));
    assert!(page(Some(super::WRONG), "/").contains("That is not the operator's token."));
    // There is nothing live about it.
    assert!(!page(None, "/").contains("<script"));
}
