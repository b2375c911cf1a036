use super::page;

#[test]
fn who_is_not_logged_in_is_told_how() {
    assert!(page(None, "/").contains("operator.token"));
    assert!(!page(None, "/").contains("That is not"));
    // Whatever is said of a token is escaped.
    assert!(page(Some(super::WRONG), "/").contains("That is not the operator&#x27;s token."));
    // There is nothing live about it.
    assert!(!page(None, "/").contains("<script"));
}
