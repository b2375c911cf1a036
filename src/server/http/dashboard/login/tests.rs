use super::page;

#[test]
fn who_is_not_logged_in_is_told_how() {
    assert!(page(None, "/").contains("operator.token"));
    assert!(!page(None, "/").contains("That is not"));
    // The message is escaped like any other value.
    assert!(page(Some(super::WRONG), "/").contains("That is not the operator&#x27;s token."));
    // Without a session there is no connection, and no script that would need one.
    assert!(!page(None, "/").contains("<script"));
}
