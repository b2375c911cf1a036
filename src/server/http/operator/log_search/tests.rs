use proptest::prelude::*;

use super::Search;

fn search(text: &str, most: usize, log: &str, piece: usize) -> Option<(Vec<u64>, bool)> {
    let mut search = Search::new(text, most)?;
    for piece in log.as_bytes().chunks(piece) {
        if !search.search(piece) {
            break;
        }
    }
    Some(search.found())
}

#[test]
fn lines_are_found_wherever_a_piece_ends() {
    let log = "one\nTwo two\n\nthree two\nfour\ntw";
    for piece in 1..40 {
        assert_eq!(search("two", 10, log, piece), Some((vec![1, 3], false)), "{piece}");
        assert_eq!(search("two", 1, log, piece), Some((vec![1], true)), "{piece}");
        assert_eq!(search("tw", 10, log, piece), Some((vec![1, 3, 5], false)), "{piece}");
        assert_eq!(search("five", 10, log, piece), Some((vec![], false)), "{piece}");
    }
    assert_eq!(search("", 10, log, 5), None);
    assert_eq!(search("a\nb", 10, log, 5), None);
    assert_eq!(search(&"x".repeat(801), 10, log, 5), None);
}

#[test]
fn a_line_without_end_is_looked_through_in_parts() {
    let long = "x".repeat(3_000_000);
    let log = format!("{long}needle{long}\nneedle");
    assert_eq!(search("needle", 10, &log, 65_536), Some((vec![0, 1], false)));
}

#[test]
fn what_a_line_shows_is_searched_not_how_it_was_written() {
    let log = "a nee\u{1b}[31mdle\u{1b}[0m in colours\nneedl\x08le\nneedle 10%\rdone      \n\u{1b}]0;needle\x07title\nnee\u{1b}(Bdle\n";
    for piece in [1, 3, 1000] {
        assert_eq!(search("needle", 10, log, piece), Some((vec![0, 1, 4], false)), "{piece}");
    }
}

#[test]
fn letters_of_every_alphabet_are_found_in_any_case() {
    assert_eq!(search("größe", 10, "DIE GRÖSSE\nDie Größe\nGRÖßE\n", 7), Some((vec![1, 2], false)));
    assert_eq!(search("ЖУК", 10, "жук\nЖук\n", 3), Some((vec![0, 1], false)));
}

proptest! {
    #[test]
    fn pieces_make_no_difference(log in "[ab\n]{0,300}", text in "[ab]{1,3}", piece in 1usize..50) {
        let expected: Vec<u64> =
            (0..).zip(log.split('\n')).filter(|(_, line)| line.contains(&text)).map(|(number, _)| number).collect();
        prop_assert_eq!(search(&text, 1000, &log, piece), Some((expected, false)));
    }
}
