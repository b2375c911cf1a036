//! Tests with shims that are stopped, or merely slow.

use super::*;

/// Performs each check when it is due and returns the decisions with the seconds since `begin`.
fn looks(patience: &mut Patience, begin: Instant, stopped: &[bool]) -> Vec<(u64, PatienceVerdict)> {
    let look = |is_stopped: &bool| {
        let at = patience.due()?;
        Some(((at - begin).as_secs(), patience.look(at, *is_stopped)))
    };
    stopped.iter().map_while(look).collect()
}

#[test]
fn one_that_owes_nothing_and_runs_is_not_looked_at() {
    assert_eq!(Patience::default().due(), None);
}

#[test]
fn one_that_is_stopped_and_owes_nothing_is_continued_as_often_as_it_takes_and_never_killed() {
    let (mut patience, begin) = (Patience::default(), Instant::now());
    patience.seen_stopped(begin);
    let verdicts = looks(&mut patience, begin, &[true, true, true, true, true, true, false, true]);
    let continued: Vec<_> = (1..=6).map(|n| (n * 5, PatienceVerdict::Continue)).collect();
    assert_eq!(verdicts, [continued, vec![(35, PatienceVerdict::Wait)]].concat());
    assert_eq!(patience.due(), None);
}

#[test]
fn one_that_owes_its_end_and_stays_stopped_is_killed_within_a_bound() {
    let (mut patience, begin) = (Patience::default(), Instant::now());
    patience.owes_end(begin, Duration::from_secs(10));
    let verdicts = looks(&mut patience, begin, &[true; 4]);
    use PatienceVerdict::{Continue, Kill};
    assert_eq!(verdicts, [(15, Continue), (20, Continue), (25, Continue), (30, Kill)]);
}

#[test]
fn one_that_owes_its_first_word_and_stays_stopped_is_killed_before_it_is_given_up() {
    let (mut patience, begin) = (Patience::default(), Instant::now());
    patience.owes_begin(begin);
    let (after, verdict) = looks(&mut patience, begin, &[true; 4])[3];
    assert_eq!(verdict, PatienceVerdict::Kill);
    assert!(Duration::from_secs(after) < KILLED_AFTER);
}

#[test]
fn one_that_is_slow_and_not_stopped_is_waited_for_with_longer_and_longer_pauses() {
    let (mut patience, begin) = (Patience::default(), Instant::now());
    patience.owes_end(begin, Duration::ZERO);
    let verdicts = looks(&mut patience, begin, &[false; 7]);
    assert!(verdicts.iter().all(|(_, verdict)| *verdict == PatienceVerdict::Wait));
    let at: Vec<u64> = verdicts.iter().map(|(at, _)| *at).collect();
    assert_eq!(at, [5, 10, 20, 40, 80, 140, 200]);
}

#[test]
fn what_is_owed_sooner_counts_and_an_end_settles_all() {
    let (mut patience, begin) = (Patience::default(), Instant::now());
    patience.owes_end(begin, Duration::from_secs(3600));
    patience.seen_stopped(begin);
    patience.owes_end(begin, Duration::from_secs(1));
    patience.owes_end(begin, Duration::MAX);
    assert_eq!(patience.due(), Some(begin + Duration::from_secs(5)));
    assert_eq!(patience.look(begin + Duration::from_secs(5), false), PatienceVerdict::Wait);
    assert_eq!(patience.due(), Some(begin + Duration::from_secs(6)));
    patience.ended();
    assert_eq!(patience.due(), None);
}
