use super::*;

#[test]
fn what_is_cut_is_said() {
    assert_eq!(cut("jobs", 20, 20), None);
    assert_eq!(cut("jobs", 21, 20), None, "one was made meanwhile");
    let said = "showing 20 of 5000 jobs; --limit N shows more, up to 100000";
    assert_eq!(cut("jobs", 20, 5000).as_deref(), Some(said));
}
