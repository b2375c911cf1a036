//! Tests of the choice of records that stay.

use std::process::Command;

use super::*;
use crate::execution::shim::tree;
use crate::wire::disk::{EndKind, RecordLine, RecordedLeftovers};

/// Writes the record of a run that has ended.
fn record(state: &Path, run: i64, token: &str, boot_id: String, left: RecordedLeftovers) -> PathBuf {
    let (socket, script) = ("/no/such.sock".to_owned(), "/no/such".to_owned());
    let begun = RecordLine::Begun {
        v: disk::VERSION,
        run,
        attempt: 1,
        token: token.to_owned(),
        shim: i32::MAX,
        socket,
        boot_id,
        script,
        cgroup: None,
    };
    let how = EndKind::Exited { code: 0, stopped: None, left };
    let ended = RecordLine::Ended { how, output: 0, at: "2026-11-30T10:00:00".to_owned() };
    let path = state.join(format!("{run}.1.record"));
    fs::write(&path, [disk::line(&begun), disk::line(&ended)].concat()).expect("a record");
    path
}

#[test]
fn a_record_stays_for_as_long_as_somebody_of_its_run_lives() {
    let state = tempfile::tempdir().expect("a directory");
    let left_behind = LeftBehind::new(state.path());
    let token = format!("left-behind-{}", std::process::id());
    let mut living = Command::new("sleep").arg("1000").env("JOB_RUNNER_RUN_TOKEN", &token).spawn().expect("a child");
    let run = |run| RunId::new(run).expect("a run");

    assert!(
        !left_behind.take(&record(state.path(), 1, &token, tree::boot_id(), RecordedLeftovers::Nobody)),
        "nobody was left"
    );
    assert!(left_behind.take(&record(state.path(), 2, &token, tree::boot_id(), RecordedLeftovers::Kept)));
    assert!(left_behind.take(&record(state.path(), 3, "nobodys", tree::boot_id(), RecordedLeftovers::Kept)));
    assert!(left_behind.take(&record(state.path(), 4, &token, "another".to_owned(), RecordedLeftovers::Kept)));
    assert_eq!([1, 2, 3, 4].map(|number| left_behind.of(run(number)).len()), [0, 1, 0, 0]);

    left_behind.clear_deserted();
    assert_eq!(left_behind.of(run(2)).len(), 1, "somebody lives");
    living.kill().expect("a kill");
    living.wait().expect("an end");
    left_behind.clear_deserted();
    assert_eq!(left_behind.of(run(2)).len(), 0);
}
