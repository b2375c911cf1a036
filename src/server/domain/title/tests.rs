use super::{Title, TitleViolation};

#[test]
fn a_title_is_one_line_of_1_to_255_characters() {
    assert_eq!(Title::new(" a b ").unwrap().as_str(), "a b");
    assert!(Title::new(&"\u{e9}".repeat(255)).is_ok());
    for text in ["", "  ", "a\nb", &"x".repeat(256)] {
        assert_eq!(Title::new(text), Err(TitleViolation::Form), "{text:?}");
    }
    assert_eq!(Title::new("a\u{202e}b"), Err(TitleViolation::Direction(0x202e)));
}

#[test]
fn a_title_is_neither_a_step_of_a_path_nor_an_id() {
    for text in [".", "..", " .. ", "#5", "#12"] {
        assert_eq!(Title::new(text), Err(TitleViolation::Reserved(text.trim().to_owned())), "{text:?}");
    }
    for text in ["...", ".a", "5", "007", "+5", "#", "#05", "#5 a", "a #5", "##5"] {
        assert_eq!(Title::new(text).unwrap().as_str(), text);
    }
}

#[test]
fn a_stored_title_is_kept_although_it_breaks_a_later_rule() {
    assert_eq!(Title::stored("#5".to_owned()).as_str(), "#5");
}
