use super::{Excerpt, plain, shown, size};
use crate::run::RunId;

#[test]
fn what_steers_a_terminal_is_left_out() {
    for (text, shown) in [
        ("plain\ttext\n", "plain\ttext\n"),
        ("\u{1b}[31mred\u{1b}[0m\n", "red\n"),
        ("\u{1b}[1;38;5;200mx\u{1b}[K\n", "x\n"),
        ("\u{1b}[31\nnext", "\nnext"),
        ("\u{1b}", ""),
        ("a\r\nb\u{7}\u{0}", "a\nb"),
        ("<b>ü</b>", "<b>ü</b>"),
    ] {
        assert_eq!(plain(text), shown, "{text:?}");
    }
}

#[test]
fn a_part_leads_to_the_parts_beside_it() {
    let part = |first, lines, text: &str| {
        let log = Excerpt { bytes: 1000, lines, first, text: text.to_owned() };
        let shown = shown(RunId::new(12).unwrap(), &log);
        let number = |name: &str| i64::try_from(shown.get_attr(name).unwrap()).ok();
        (number("earlier"), number("later"))
    };
    assert_eq!(part(0, 2, "a\nb\n"), (None, None));
    assert_eq!(part(0, 500, "a\nb\n"), (None, Some(2)));
    assert_eq!(part(500, 502, "a\nb\n"), (Some(100), None));
    assert_eq!(part(50, 502, "a\nb\n"), (Some(0), Some(52)));
}

#[test]
fn sizes_are_as_people_say_them() {
    for (bytes, shown) in [(0, "0 bytes"), (999, "999 bytes"), (1_250, "1.2 kB"), (104_857_600, "104.8 MB")] {
        assert_eq!(size(bytes), shown);
    }
}
