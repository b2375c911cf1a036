use proptest::prelude::*;

use super::{COLUMNS, Colour, Row, Span, Style, Terminal};

/// Renders a text that arrives in pieces of `piece` bytes; the last line counts whether it has ended or not.
fn rows_in_pieces(text: &[u8], piece: usize) -> Vec<Row> {
    let (mut terminal, mut rows, mut open) = (Terminal::new(COLUMNS), Vec::new(), false);
    for mut rest in text.chunks(piece) {
        while !rest.is_empty() {
            let (read, row) = terminal.read(rest);
            rest = &rest[read..];
            open = row.is_none();
            rows.extend(row);
        }
    }
    rows.extend(open.then(|| terminal.end_line()));
    rows
}

fn texts(text: &str) -> Vec<String> {
    rows_in_pieces(text.as_bytes(), usize::MAX).iter().map(Row::text).collect()
}

fn span(text: &str, change: impl FnOnce(&mut Style)) -> Span {
    let mut look = Style::default();
    change(&mut look);
    Span { text: text.to_owned(), look }
}

#[test]
fn a_line_shows_what_a_terminal_shows_when_it_ends() {
    for (text, shown) in [
        ("plain\ttext\n", &["plain\ttext"][..]),
        ("a\nb", &["a", "b"]),
        ("a\n\n", &["a", ""]),
        // Carriage returns: a printed character replaces the one at the cursor, and no more.
        ("10%\r50%\r100%\n", &["100%"]),
        ("100%\r50%\n", &["50%%"]),
        ("100%\r\x1b[K50%\n", &["50%"]),
        ("a\r\nb\r\r\nc", &["a", "b", "c"]),
        ("done\r", &["done"]),
        // Backspaces: man pages print bold and underlined letters twice.
        ("b\x08bo\x08ol\x08ld _\x08u\n", &["bold u"]),
        ("\x08\x08x\n", &["x"]),
        ("abc\x08\x08\x1b[Pd\n", &["ad"]),
        // Sequences of tput sgr0, titles, links, modes, character sets, strings to the device.
        ("\x1b[31mred\x1b(B\x1b[m plain\n", &["red plain"]),
        ("\x1b]0;title\x07shown\x1b]2;title\x1b\\!\n", &["shown!"]),
        ("\x1b]8;;http://example.org\x1b\\link\x1b]8;;\x1b\\\n", &["link"]),
        ("\x1b[?25lhidden cursor\x1b[?25h\x1b7\x1b8\x1b=\x1b>\n", &["hidden cursor"]),
        ("\x1bPdevice\x1b\\\x1b_app\x1b\\\x1b^pm\x1b\\a\n", &["a"]),
        ("\x0elines\x0f\x07\0\n", &["lines"]),
        // Cursor and editing within the line.
        ("abcdef\x1b[3Dxy\x1b[1Cz\n", &["abcxyfz"]),
        ("abc\x1b[1Gx\x1b[5Gy\n", &["xbc y"]),
        ("abcdef\r\x1b[2X\x1b[3P|\n", &["|ef"]),
        ("abc\r\x1b[2@x\n", &["x abc"]),
        ("abcdef\x1b[4G\x1b[1K\n", &["    ef"]),
        ("abc\x1b[2Kd\n", &["   d"]),
        ("12345678901\r\tx\n", &["12345678x01"]),
        // A sequence without an end reaches no further than its line.
        ("\x1b]0;no end\nnext\n", &["", "next"]),
        ("\x1b[31\nnext", &["", "next"]),
        ("\x1b", &[""]),
        ("<b>ü €</b> 😀\n", &["<b>ü €</b> 😀"]),
    ] {
        assert_eq!(texts(text), shown, "{text:?}");
    }
    let bad = rows_in_pieces(b"a\xffb\n", usize::MAX);
    assert_eq!(bad[0].text(), "a\u{fffd}b");
}

#[test]
fn looks_are_kept_until_they_are_changed_also_over_lines() {
    let rows = rows_in_pieces(b"\x1b[1;31mred\x1b[22m thin\nnext\x1b[m.\n", usize::MAX);
    let red = |look: &mut Style| look.front = Some(Colour::Named(1));
    let bold = |look: &mut Style| (look.bold, look.front) = (true, Some(Colour::Named(1)));
    assert_eq!(rows[0].spans, [span("red", bold), span(" thin", red)]);
    assert_eq!(rows[1].spans, [span("next", red), span(".", |_| {})]);
}

#[test]
fn colours_are_read_in_every_form() {
    let orange = Some(Colour::Rgb(255, 135, 0));
    for (sgr, front, back, underline) in [
        ("38;5;208", orange, None, false),
        ("38:5:208", orange, None, false),
        ("38;2;255;135;0", orange, None, false),
        ("38:2:255:135:0", orange, None, false),
        ("38:2::255:135:0", orange, None, false),
        ("38:2:1:255:135:0", orange, None, false),
        ("48;5;196;4", None, Some(Colour::Rgb(255, 0, 0)), true),
        ("48:5:1", None, Some(Colour::Named(1)), false),
        ("97;100", Some(Colour::Named(15)), Some(Colour::Named(8)), false),
        ("38;5;255", Some(Colour::Rgb(238, 238, 238)), None, false),
        ("31;39", None, None, false),
        // Colours that do not exist, and the numbers of an underline's colour, change nothing else.
        ("38;5;999", None, None, false),
        ("38;2;300;0;0", None, None, false),
        ("58;5;4", None, None, false),
        ("58:2::4:4:4", None, None, false),
        ("4:3", None, None, true),
        ("4;4:0", None, None, false),
        ("4;24", None, None, false),
        ("38", None, None, false),
        ("38;5", None, None, false),
        ("1;0", None, None, false),
        (";;", None, None, false),
    ] {
        let rows = rows_in_pieces(format!("\x1b[{sgr}mx").as_bytes(), usize::MAX);
        let expected = Style { front, back, underline, ..Style::default() };
        assert_eq!(rows[0].spans, [Span { text: "x".to_owned(), look: expected }], "{sgr}");
    }
}

#[test]
fn a_line_keeps_its_first_columns_and_counts_the_others() {
    let rows = rows_in_pieces(&b"x".repeat(COLUMNS + 7), 1000);
    assert_eq!((rows[0].text().len(), rows[0].cut), (COLUMNS, 7));
    // Progress on a single line, however often it is rewritten.
    let progress: String = (0..=100_000).map(|n| format!("\r{n} of 100000")).collect();
    assert_eq!(texts(&progress), ["100000 of 100000"]);
    // Input that is made to cost memory.
    for text in
        ["\x1b[65535Cx", "\x1b[65535Gx", "a\r\x1b[65535@", "\x1b[99999999999999999999Cx", "\x1b[65535X\x1b[65535P"]
    {
        let rows = rows_in_pieces(text.as_bytes(), usize::MAX);
        assert!(rows[0].text().len() <= COLUMNS, "{text:?}");
    }
    let colours: String = (0..20_000).map(|n| format!("\x1b[38;2;{};{};0mx", n % 256, n / 256)).collect();
    let rows = rows_in_pieces(colours.as_bytes(), usize::MAX);
    assert_eq!(rows[0].text().len(), COLUMNS);
}

proptest! {
    #[test]
    fn where_a_piece_ends_makes_no_difference(
        text in "([a-z€\r\n\t\x08]|\x1b\\[[0-9;:]{0,6}[mKCDGPX@A]|\x1b\\]0;[a-z]{0,3}(\x07|\x1b\\\\)|\x1b\\(B){0,60}",
        piece in 1_usize..9,
    ) {
        prop_assert_eq!(rows_in_pieces(text.as_bytes(), piece), rows_in_pieces(text.as_bytes(), usize::MAX));
    }

    #[test]
    fn any_bytes_give_as_many_lines_as_they_have_ends(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let rows = rows_in_pieces(&bytes, 7);
        let ends = bytes.iter().filter(|byte| **byte == b'\n').count();
        let open = usize::from(bytes.last().is_some_and(|byte| *byte != b'\n'));
        prop_assert_eq!(rows.len(), ends + open);
        prop_assert!(rows.iter().all(|row| !row.text().contains(['\x1b', '\r', '\x08', '\n'])));
    }
}
