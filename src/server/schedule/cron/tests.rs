use super::*;

#[test]
fn expressions_are_checked() {
    for good in ["0 3 * * *", "*/5 9-17 * * MON-FRI", "30 0 3 * * *", "0 0 L * *", "0 0 * * 5#2", "@daily"] {
        assert_eq!(check(good), Ok(()), "{good}");
    }
    for bad in ["", "* * * *", "60 * * * *", "0 3 * * * * 2027", "hello", "5/5 * * * *"] {
        assert!(check(bad).is_err(), "{bad}");
    }
    assert_eq!(
        check("61 * * * *").unwrap_err().to_string(),
        "\"61 * * * *\" is no cron expression of five fields, or of six with seconds first: Component error: Number out of bounds."
    );
}
