//! Tests of the briefs: their age, their number and their size are bounded.

use super::*;

fn run(id: usize) -> RunId {
    RunId::new(i64::try_from(id).expect("a small number")).expect("an id")
}

fn brief(bytes: usize) -> Brief {
    Brief { run: RunResource::default(), job: Some(JobView { script: Some("x".repeat(bytes)), run_timeout: None }) }
}

#[test]
fn a_brief_is_taken_once_and_while_it_is_fresh() {
    let (mut briefs, now) = (Briefs::default(), Instant::now());
    briefs.put(run(1), brief(3), now);
    briefs.put(run(1), brief(4), now);
    assert_eq!(briefs.take(run(1), now).expect("the later one").bytes(), 4);
    assert!(briefs.take(run(1), now).is_none());
    briefs.put(run(1), brief(3), now);
    assert!(briefs.take(run(1), now + BELIEVED).is_none());
    assert_eq!(briefs.bytes, 0);
}

#[test]
fn they_are_bounded_in_number_and_size() {
    let (mut briefs, now) = (Briefs::default(), Instant::now());
    (1..=ROOM + 1).for_each(|id| briefs.put(run(id), brief(1), now));
    assert!(briefs.take(run(1), now).is_none());
    assert!(briefs.take(run(2), now).is_some());
    briefs.put(run(100), brief(BYTES), now);
    assert_eq!(briefs.kept.len(), 1);
    briefs.put(run(101), brief(BYTES + 1), now);
    assert_eq!((briefs.kept.len(), briefs.bytes), (0, 0));
}
