use super::{between, shown, table};

#[test]
fn columns_are_as_wide_as_they_have_to_be() {
    let rows = [["1".to_owned(), "a".to_owned()], ["200".to_owned(), "größer\n".to_owned()]];
    insta::assert_snapshot!(table(["ID", "TITLE"], &rows), @r"
    ID   TITLE
    1    a
    200  größer\n
    ");
    assert_eq!(table(["ID"], &[]), "ID\n");
}

#[test]
fn what_a_terminal_would_obey_is_shown() {
    assert_eq!(shown("a\u{1b}[2Jb"), "a\\u{1b}[2Jb");
    let long = "x".repeat(100);
    let text = table(["A", "B"], &[[long.clone(), long]]);
    assert_eq!(text.lines().nth(1).unwrap().chars().count(), 61 + 2 + 100);
}

#[test]
fn durations_are_short() {
    for (to, expected) in [
        ("2026-01-01T00:00:00.000Z", "0.0 s"),
        ("2026-01-01T00:00:02.349Z", "2.3 s"),
        ("2026-01-01T00:01:05.000Z", "1m 05s"),
        ("2026-01-01T02:03:04.000Z", "2h 03m"),
        ("2025-12-31T00:00:00.000Z", "0.0 s"),
    ] {
        assert_eq!(between(Some("2026-01-01T00:00:00.000Z"), Some(to)).as_deref(), Some(expected));
    }
    assert_eq!(between(None, Some("2026-01-01T00:00:00.000Z")), None);
    assert_eq!(between(Some("x"), Some("y")), None);
}
