use super::Notice;

#[test]
fn it_is_read_as_it_was_written() {
    for notice in [Notice::done("Run 12 is killed."), Notice::refused("+ is no number"), Notice::done("")] {
        assert_eq!(Notice::of_text(&notice.text()), Some(notice));
    }
    assert_eq!(Notice::of_text("Run 12"), None);
    assert_eq!(Notice::of_text(""), None);
}
