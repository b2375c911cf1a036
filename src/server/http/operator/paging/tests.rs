use super::*;

#[test]
fn a_mark_is_decoded_to_what_was_encoded() {
    let after =
        AfterRun { at: Timestamp::from_timestamp_micros(-1_700_000_000_123_456).unwrap(), run: RunId::new(7).unwrap() };
    assert_eq!(after_run(&mark_of_run(after)).unwrap(), after);
    for name in ["", "backup", "a:b: c", "\u{e9}:\n"] {
        let after = AfterTitle { title: name.to_owned(), id: 12 };
        assert_eq!(after_title(&mark_of_title(name, 12)).unwrap(), after);
    }
}

#[test]
fn text_that_is_no_mark_is_refused() {
    for text in ["", "12", "x:1", "1:x", "1:0", "99999999999999999999:1", "9223372036854775807:1"] {
        assert!(after_run(text).is_err(), "{text}");
    }
    for text in ["", "12", "x:title", ":title"] {
        assert!(after_title(text).is_err(), "{text}");
    }
}
