//! Tests of the splitter: however the bytes arrive, the lines are the same, and none is too long.

use proptest::prelude::*;

use super::*;

fn split(pieces: &[&[u8]]) -> Vec<String> {
    let mut splitter = LineSplitter::default();
    let mut lines: Vec<String> = pieces.iter().flat_map(|piece| splitter.push(piece)).collect();
    lines.extend(splitter.rest());
    lines
}

#[test]
fn lines_are_told_apart() {
    let cases: [(&[u8], &[&str]); 6] = [
        (b"", &[]),
        (b"a\nb\n", &["a", "b"]),
        (b"a\n\nb", &["a", "", "b"]),
        (b"a\r\nb\r", &["a", "b"]),
        (b"\xff\n", &["\u{fffd}"]),
        (b"\n", &[""]),
    ];
    for (bytes, lines) in cases {
        assert_eq!(split(&[bytes]), lines, "{bytes:?}");
    }
}

#[test]
fn a_line_that_is_too_long_is_cut_and_the_next_is_not() {
    let mut bytes = vec![b'x'; MAX_LINE + 1];
    bytes.extend(b"\nshort\n");
    assert_eq!(split(&[&bytes]), ["x".repeat(MAX_LINE) + CUT, "short".to_owned()]);
    let exact = vec![b'x'; MAX_LINE];
    assert_eq!(split(&[&exact, b"\n"]), ["x".repeat(MAX_LINE)]);
}

proptest! {
    #[test]
    fn it_does_not_matter_how_bytes_arrive(bytes in any::<Vec<u8>>(), at in any::<prop::sample::Index>()) {
        let (first, second) = bytes.split_at(at.index(bytes.len() + 1));
        prop_assert_eq!(split(&[first, second]), split(&[&bytes]));
    }
}
