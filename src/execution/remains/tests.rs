//! Tests of the cleanup: which cgroup belongs to which run, and which script counts as gone.

use std::os::unix::process::CommandExt;
use std::process::{Child, Command};

use super::*;
use crate::run::{Attempt, RunId};

fn record(token: &str, shim: i32) -> Record {
    Record {
        run: RunId::new(1).expect("a run"),
        attempt: Attempt::FIRST,
        token: token.to_owned(),
        shim,
        socket: "/no/such.sock".to_owned(),
        boot_id: tree::boot_id(),
        script: "/no/such".to_owned(),
        cgroup: None,
        spawned: None,
        ended: None,
    }
}

/// Starts a process that carries a token.
fn bearer(token: &str) -> Child {
    Command::new("sleep").arg("1000").env("JOB_RUNNER_RUN_TOKEN", token).process_group(0).spawn().expect("a child")
}

#[test]
fn a_group_that_an_earlier_build_named_by_pid_is_ours_while_nobody_in_it_is_anothers() {
    let folder = tempfile::tempdir().expect("a directory");
    let [old, new] = ["job-runner.123", "job-runner.123-0a"].map(|name| folder.path().join(name));
    let (mut ours, mut theirs) = (bearer("ours"), bearer("theirs"));
    let record = record("ours", i32::MAX);
    for (members, wanted) in [(vec![&ours], true), (vec![&ours, &theirs], false), (vec![], true)] {
        for group in [&old, &new] {
            let listed: String = members.iter().map(|child| format!("{}\n", child.id())).collect();
            fs::create_dir_all(group).expect("a directory");
            fs::write(group.join("cgroup.procs"), listed).expect("a file");
            let named_for_good = group == &new;
            assert_eq!(is_ours(group, &record, LeftBy::DeadShim), wanted || named_for_good, "{}", group.display());
        }
    }
    for child in [&mut ours, &mut theirs] {
        child.kill().expect("killed");
        child.wait().expect("waited for");
    }
}

#[test]
fn nobody_is_ended_for_a_record_without_a_token() {
    let mut child = bearer("");
    assert!(kill_all(&record("", i32::MAX), None).is_empty());
    child.kill().expect("killed");
    child.wait().expect("waited for");
}

#[test]
fn a_script_that_cannot_be_removed_keeps_its_licence_and_one_whose_place_is_gone_does_not() {
    let folder = tempfile::tempdir().expect("a directory");
    let (file, place) = (folder.path().join("file"), folder.path().join("place"));
    fs::write(&file, "").expect("a file");
    fs::create_dir_all(place.join("script/x")).expect("a directory");
    for (script, is_gone) in [
        (place.join("no"), true),
        (folder.path().join("no/script"), true),
        (file.join("x"), true),
        (place.join("script"), false),
    ] {
        let record = folder.path().join("1.1.record");
        let _ = fs::remove_file(&record);
        assert_eq!(of(&record, std::slice::from_ref(&script)).is_ok(), is_gone, "{}", script.display());
    }
    // The name is too long for the system to look it up, so the file may exist for all we know.
    let unseen = place.join("x".repeat(300));
    assert!(remove(&unseen).is_err());
}
