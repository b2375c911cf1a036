use minijinja::context;

use super::fill;

#[test]
fn what_turns_the_direction_of_a_text_is_shown_by_its_number_and_escaped() {
    let page = fill("message", context!(text => "invoice\u{202e}fdp<b>\u{2066}")).to_string();
    assert!(page.contains("invoice[U+202E]fdp&lt;b&gt;[U+2066]"), "{page}");
}
