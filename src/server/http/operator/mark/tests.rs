use super::*;

#[test]
fn where_a_page_begins_is_read_as_it_was_written() {
    let after =
        AfterRun { at: Timestamp::from_timestamp_micros(-1_700_000_000_123_456).unwrap(), run: RunId::new(7).unwrap() };
    assert_eq!(run(&of_run(after)).unwrap(), after);
    for name in ["", "backup", "a:b: c", "\u{e9}:\n"] {
        let after = AfterTitle { title: name.to_owned(), id: 12 };
        assert_eq!(title(&of_title(name, 12)).unwrap(), after);
    }
}

#[test]
fn what_nobody_wrote_is_refused() {
    for text in ["", "12", "x:1", "1:x", "1:0", "99999999999999999999:1", "9223372036854775807:1"] {
        assert!(run(text).is_err(), "{text}");
    }
    for text in ["", "12", "x:title", ":title"] {
        assert!(title(text).is_err(), "{text}");
    }
}
