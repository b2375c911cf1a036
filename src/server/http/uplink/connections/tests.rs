use super::*;

/// A connection that was superseded ends some time after the others of its worker.
#[test]
fn a_connection_that_ends_late_leaves_those_that_came_after_it_in_the_table() {
    let (lines, worker) = (Uplinks::default(), WorkerId::new(1).expect("an id"));
    let late = lines.join(worker);
    let others: Vec<_> = (0..OF_ONE).map(|_| lines.join(worker)).collect();
    assert!(late.superseded().is_cancelled());
    drop(others);
    let first = lines.join(worker);
    drop(late);
    let _others: Vec<_> = (0..OF_ONE).map(|_| lines.join(worker)).collect();
    assert!(first.superseded().is_cancelled(), "it counts as one of those that the worker may have");
}
