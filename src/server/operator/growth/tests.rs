use proptest::prelude::*;

use super::{Growth, growth};

#[test]
fn a_log_grows_at_its_end() {
    assert_eq!(growth("", ""), Growth::Same);
    assert_eq!(growth("", "a\n"), Growth::More("a\n"));
    assert_eq!(growth("a\n", "a\n"), Growth::Same);
    assert_eq!(growth("a\n", "a\nb\n"), Growth::More("b\n"));
    assert_eq!(growth("é", "éß"), Growth::More("ß"));
}

#[test]
fn one_that_is_another_is_told_from_where_it_differs() {
    assert_eq!(growth("begin\nfirst try\n", "begin\nsecond\n"), Growth::Gap("second\n"));
    assert_eq!(growth("abc", "ab"), Growth::Same);
    // A letter that has its first byte in common with another one is whole.
    assert_eq!(growth("é", "è"), Growth::Gap("è"));
}

#[test]
fn one_that_lost_its_middle_goes_on_where_it_was_left() {
    let line = |n: usize| format!("line {n} of many lines that differ\n");
    let old: String = (0..1000).map(line).collect();
    let tail: String = (900..1010).map(line).collect();
    let head: String = (0..20).map(line).collect();
    let more: String = (1000..1010).map(line).collect();
    let new = format!("{head}\n\n[truncated]\n\n{tail}");
    assert_eq!(growth(&old, &new), Growth::More(&more));
    let tail: String = (2000..2010).map(line).collect();
    let later = format!("{head}\n\n[truncated]\n\n{tail}");
    assert_eq!(growth(&new, &later), Growth::Gap(&tail[5..]));
}

proptest! {
    #[test]
    fn nothing_panics_and_growth_is_found(old in "\\PC{0,40}", more in "\\PC{0,40}", other in "\\PC{0,40}") {
        let new = format!("{old}{more}");
        let expected = if more.is_empty() { Growth::Same } else { Growth::More(&more) };
        prop_assert_eq!(growth(&old, &new), expected);
        growth(&old, &other);
    }
}
