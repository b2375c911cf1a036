//! Records: every line can be read again, also in files of an older version and in files that a crash cut short.

use proptest::prelude::*;

use super::*;

fn begun() -> RecordLine {
    RecordLine::Begun {
        v: VERSION,
        run: 12,
        attempt: 2,
        token: "7f3a".to_owned(),
        shim: 4711,
        socket: "/run/s ock".to_owned(),
        boot_id: "b0".to_owned(),
        script: "/tmp/job-12".to_owned(),
        cgroup: Some("/sys/fs/cgroup/job".to_owned()),
    }
}

fn spawned() -> RecordLine {
    RecordLine::Spawned { pid: 4712, start_time: 123_456, at: "2026-11-23 17:02:01.622914+00:00".to_owned() }
}

fn ended(outcome: &Outcome) -> RecordLine {
    RecordLine::Ended { how: outcome.into(), output: 5_000_000_000, at: "2026-11-23 17:03:01.622914+00:00".to_owned() }
}

fn file(lines: &[RecordLine]) -> Vec<u8> {
    lines.iter().flat_map(line).collect()
}

fn outcomes() -> Vec<Outcome> {
    let causes = [Cause::Killed, Cause::TimedOut, Cause::Interrupted, Cause::NotOurs, Cause::GivenBack];
    let mut all = vec![Outcome::Unstartable("no such \"interpreter\"\n🦀".to_owned()), Outcome::Lost(3)];
    for exit in [ProcessExit::Code(0), ProcessExit::Code(255), ProcessExit::Signal(9)] {
        for left in [Left::Nobody, Left::Kept, Left::Stopped] {
            all.push(Outcome::Ran { exit, cause: None, left });
            all.extend(causes.map(|cause| Outcome::Ran { exit, cause: Some(cause), left }));
        }
    }
    all.extend(causes.map(Outcome::Cancelled));
    all
}

#[test]
fn every_outcome_comes_back_as_it_was_written() {
    for outcome in outcomes() {
        let read = record(&file(&[begun(), spawned(), ended(&outcome)])).expect("a record");
        let end = read.ended.expect("an end");
        assert_eq!(end.outcome, outcome);
        assert_eq!(end.output, 5_000_000_000);
        assert_eq!(end.at, "2026-11-23 17:03:01.622914+00:00");
    }
}

#[test]
fn every_line_is_one_line_and_comes_back_as_it_was_written() {
    let mut lines = vec![begun(), spawned()];
    lines.extend(outcomes().iter().map(ended));
    for written in lines {
        let bytes = line(&written);
        assert_eq!(bytes.iter().filter(|byte| **byte == b'\n').count(), 1);
        assert_eq!(bytes.last(), Some(&b'\n'));
        assert_eq!(serde_json::from_slice::<RecordLine>(&bytes).expect("a line"), written);
    }
}

#[test]
fn a_record_says_what_its_lines_say() {
    let read = record(&file(&[begun(), spawned()])).expect("a record");
    assert_eq!(read.run, RunId::new(12).expect("a run"));
    assert_eq!(read.attempt, Attempt(2));
    assert_eq!((read.token.as_str(), read.shim, read.boot_id.as_str()), ("7f3a", 4711, "b0"));
    assert_eq!((read.socket.as_str(), read.script.as_str()), ("/run/s ock", "/tmp/job-12"));
    assert_eq!(read.cgroup.as_deref(), Some("/sys/fs/cgroup/job"));
    assert_eq!(read.spawned.map(|spawned| (spawned.pid, spawned.start_time)), Some((4712, 123_456)));
    assert_eq!(read.ended, None);
}

#[test]
fn a_line_that_a_crash_cut_short_is_as_if_it_had_not_been_written() {
    let lines = [begun(), spawned(), ended(&Outcome::Lost(1))];
    let bytes = file(&lines);
    let borders: Vec<usize> = (1..=lines.len()).map(|count| file(&lines[..count]).len()).collect();
    for cut in 0..=bytes.len() {
        let whole = borders.iter().filter(|border| **border <= cut).count();
        assert_eq!(record(&bytes[..cut]), record(&file(&lines[..whole])), "cut after {cut} bytes");
    }
    assert_eq!(record(&bytes[..borders[0] - 1]), None);
}

#[test]
fn lines_and_fields_of_a_later_version_are_passed_over() {
    let mut bytes = br#"{"is":"begun","v":9,"run":12,"attempt":1,"token":"t","shim":1,"socket":"s","boot_id":"b","script":"p","colour":"red"}"#.to_vec();
    bytes.extend_from_slice(b"\n{\"is\":\"steps\",\"count\":3}\n");
    bytes.extend_from_slice(&line(&spawned()));
    let read = record(&bytes).expect("a record");
    assert!(read.spawned.is_some());
    assert_eq!(read.cgroup, None);
}

#[test]
fn what_begins_with_no_licence_is_no_record() {
    assert_eq!(record(b""), None);
    assert_eq!(record(b"\n"), None);
    assert_eq!(record(&file(&[spawned(), begun()])), None);
    let zero =
        br#"{"is":"begun","v":1,"run":0,"attempt":1,"token":"t","shim":1,"socket":"s","boot_id":"b","script":"p"}"#;
    assert_eq!(record(&[zero.as_slice(), b"\n"].concat()), None);
}

/// Files that version 1 wrote. They are never changed; a new version adds its own.
#[test]
fn files_of_version_1_always_open() {
    let read = |bytes: &[u8]| record(bytes).expect("a record of version 1");
    let begun = read(include_bytes!("../../../tests/fixtures/disk/v1_begun.record"));
    assert_eq!((begun.run, begun.attempt), (RunId::new(12).expect("a run"), Attempt::FIRST));
    assert_eq!((begun.spawned, begun.ended), (None, None));

    let running = read(include_bytes!("../../../tests/fixtures/disk/v1_running.record"));
    assert_eq!(running.spawned.map(|spawned| (spawned.pid, spawned.start_time)), Some((4712, 8_812_345)));
    assert_eq!(running.cgroup.as_deref(), Some("/sys/fs/cgroup/system.slice/job-runner-worker.service/shim-4711"));
    assert_eq!(running.ended, None);

    let outcomes = [
        (
            include_bytes!("../../../tests/fixtures/disk/v1_exited.record").as_slice(),
            Outcome::Ran { exit: ProcessExit::Code(3), cause: None, left: Left::Kept },
        ),
        (
            include_bytes!("../../../tests/fixtures/disk/v1_signalled.record"),
            Outcome::Ran { exit: ProcessExit::Signal(9), cause: Some(Cause::TimedOut), left: Left::Nobody },
        ),
        (
            include_bytes!("../../../tests/fixtures/disk/v1_unstartable.record"),
            Outcome::Unstartable("no such interpreter: /no/such".to_owned()),
        ),
        (include_bytes!("../../../tests/fixtures/disk/v1_cancelled.record"), Outcome::Cancelled(Cause::Killed)),
    ];
    for (bytes, outcome) in outcomes {
        assert_eq!(read(bytes).ended.expect("an end").outcome, outcome);
    }
    let written = read(include_bytes!("../../../tests/fixtures/disk/v1_written_by_an_earlier_build.record"));
    assert_eq!((written.run.get(), written.shim, written.ended), (1, 18846, None));
    assert_eq!(written.spawned.map(|spawned| spawned.pid), Some(18871));

    let cut = read(include_bytes!("../../../tests/fixtures/disk/v1_cut_short.record"));
    assert!(cut.spawned.is_some() && cut.ended.is_none());
}

#[test]
fn the_names_of_files_say_what_they_are() {
    let run = RunId::new(12).expect("a run");
    assert_eq!(record_name(run, Attempt(3)), "12.3.record");
    assert_eq!(output_name(run, Attempt(3)), "12.3.output");
    assert_eq!(journal_name(run, Attempt(3)), "12.3.journal");
    assert_eq!(named("12.3.record"), Some((run, Attempt(3))));
    assert_eq!(named("12.3.output"), Some((run, Attempt(3))));
    assert_eq!(named("12.3.journal"), Some((run, Attempt(3))));
    for name in [
        "",
        ".",
        "12",
        "12.3",
        "12.3.",
        "12.3.sock",
        "12.3.record.tmp",
        ".3.record",
        "0.1.record",
        "-1.1.record",
        "12.-1.record",
        "12.x.record",
        "x.3.record",
        "12.3.Record",
        "99999999999999999999.1.record",
        "12..record",
        "12.4294967296.record",
        " 12.3.record",
    ] {
        assert_eq!(named(name), None, "{name}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_a_record_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = record(&bytes);
    }

    #[test]
    fn any_bytes_behind_a_licence_change_nothing_of_it(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let licence = file(&[begun()]);
        let read = record(&[licence.clone(), bytes].concat());
        prop_assert_eq!(read.map(|read| read.token), record(&licence).map(|read| read.token));
    }

    #[test]
    fn any_name_is_named_or_not(name in "\\PC{0,20}") {
        let _ = named(&name);
    }

    #[test]
    fn every_name_that_is_given_is_named(run in 1..i64::MAX, attempt in any::<u32>()) {
        let run = RunId::new(run).expect("a run");
        prop_assert_eq!(named(&record_name(run, Attempt(attempt))), Some((run, Attempt(attempt))));
        prop_assert_eq!(named(&output_name(run, Attempt(attempt))), Some((run, Attempt(attempt))));
        prop_assert_eq!(named(&journal_name(run, Attempt(attempt))), Some((run, Attempt(attempt))));
    }
}

#[test]
fn what_a_worker_remembers_is_read_and_what_nobody_understands_is_told_apart() {
    use crate::run::RequestId;
    use crate::run::worker_lifecycle::Remembered;
    for asleep in [true, false] {
        for done in [None, RequestId::new(1_764_000_000_000_000)] {
            let remembered = Remembered { asleep, done };
            assert_eq!(super::remembered(&remembered_text(remembered)), Some(remembered));
        }
    }
    assert_eq!(super::remembered(br#"{"v":1,"asleep":true}"#), Some(Remembered { asleep: true, done: None }));
    for strange in ["", "{", "null", r#"{"v":2,"asleep":false}"#, r#"{"asleep":false}"#, r#"{"v":1,"asleep":"no"}"#] {
        assert_eq!(super::remembered(strange.as_bytes()), None, "{strange}");
    }
}
