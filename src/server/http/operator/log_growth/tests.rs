use proptest::prelude::*;

use super::{GrowthStep, SentLog};

/// Returns the offset at which the stream goes on after `new` replaced `old`, and whether a gap is announced before.
fn on(old: &str, new: &str, piece: usize) -> (u64, bool) {
    let mut told = SentLog::default();
    old.as_bytes().chunks(piece).for_each(|piece| told.record(piece));
    assert_eq!(told.bytes, old.len() as u64);
    let kept = old.bytes().zip(new.bytes()).take_while(|(a, b)| a == b).count();
    let kept = new.floor_char_boundary(kept);
    match told.go_on(kept as u64, new.len() as u64) {
        GrowthStep::Same => (told.bytes, false),
        GrowthStep::Shorter => (new.len() as u64, false),
        GrowthStep::Seek(mut seek) => {
            new.as_bytes()[kept..].chunks(piece).for_each(|piece| seek.search(piece));
            seek.found().map_or((kept as u64, true), |at| (at, false))
        }
    }
}

#[test]
fn one_that_is_another_is_told_from_where_it_differs() {
    assert_eq!(on("begin\nfirst try\n", "begin\nsecond\n", 3), (6, true));
    assert_eq!(on("abc", "ab", 3), (2, false));
    assert_eq!(on("abc", "abcd", 3), (3, false));
    // A letter that has its first byte in common with another one is whole.
    assert_eq!(on("é", "è", 3), (0, true));
}

#[test]
fn one_that_lost_its_middle_goes_on_where_it_was_left() {
    let line = |n: usize| format!("line {n} of many lines that differ\n");
    let old: String = (0..1000).map(line).collect();
    let tail: String = (900..1010).map(line).collect();
    let head: String = (0..20).map(line).collect();
    let more: String = (1000..1010).map(line).collect();
    let new = format!("{head}\n\n[truncated]\n\n{tail}");
    for piece in [1, 7, 1000, 1023, 1024, 1025, 100_000] {
        assert_eq!(on(&old, &new, piece), ((new.len() - more.len()) as u64, false), "{piece}");
    }
    let other: String = (2000..2010).map(line).collect();
    let later = format!("{head}\n\n[truncated]\n\n{other}");
    let same = head.len() + "\n\n[truncated]\n\nline ".len();
    assert_eq!(on(&new, &later, 100), (same as u64, true));
}

#[test]
fn of_what_repeats_itself_the_last_place_counts() {
    let old = "a".repeat(3000);
    let new = format!("b{}", "a".repeat(5000));
    assert_eq!(on(&old, &new, 64), (5001, false));
}

proptest! {
    #[test]
    fn pieces_make_no_difference(old in "[ab\n]{500,2500}", new in "[ab\n]{0,2500}", tail in 0usize..1500, piece in 1usize..3000) {
        let new = format!("{new}{}{new}", &old[old.len() - tail.min(old.len())..]);
        prop_assert_eq!(on(&old, &new, piece), on(&old, &new, usize::MAX));
    }
}
