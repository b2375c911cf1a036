//! Output of commands: written completely, or reported as lost.

use std::fs::OpenOptions;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use nix::sys::signal::Signal;

use crate::program::{Done, Place, finish};

/// Runs a command whose output finds no room.
async fn into_full(place: &Place, args: &[&str]) -> Done {
    let full = OpenOptions::new().write(true).open("/dev/full").expect("/dev/full");
    finish(place.command(args).stdout(Stdio::from(full)).spawn().expect("the command")).await
}

#[tokio::test]
async fn output_that_cannot_be_written_is_an_error() {
    let place = Place::new();
    let (standalone, _) = place.standalone().await;
    let id =
        place.run(&["run", "--detach", place.script("mine", "#!/bin/sh\necho hello\n").to_str().expect("text")]).await;
    let id = id.out.trim().to_owned();
    assert_eq!(place.run(&["logs", "-f", &id]).await.code, 0);
    place.script("good.ini", "[job_runner]\n");
    for args in [
        &["jobs"][..],
        &["jobs", "--json"],
        &["runs"],
        &["workers"],
        &["why", "mine"],
        &["logs", &id],
        &["logs", "-f", &id],
        &["run", "mine"],
        &["run", "--detach", "mine"],
        &["worker", "add", "web1"],
        &["serve", "--config", "good.ini", "--check-config"],
        &["--help"],
        &["--version"],
        &["jobs", "--help"],
    ] {
        let done = into_full(&place, args).await;
        assert_eq!(done.code, 74, "{args:?}: {done:?}");
        assert!(done.err.contains("output cannot be written: No space left"), "{args:?}: {done:?}");
    }
    // A script's own exit code says more.
    place.script("three", "#!/bin/sh\necho three\nexit 3\n");
    let done = into_full(&place, &["run", "three"]).await;
    assert_eq!(done.code, 3, "{done:?}");
    assert!(done.err.contains("output cannot be written"), "{done:?}");
    standalone.signal(Signal::SIGINT);
    standalone.end().await;
}

#[tokio::test]
async fn a_closed_output_pipe_is_no_error() {
    let place = Place::new();
    let (_standalone, _) = place.standalone().await;
    let (reader, writer) = nix::unistd::pipe().expect("a pipe");
    drop(reader);
    let done = finish(place.command(&["jobs"]).stdout(Stdio::from(writer)).spawn().expect("the command")).await;
    assert_eq!((done.code, done.err.as_str()), (0, ""), "{done:?}");
}

#[tokio::test]
async fn the_secret_of_a_new_worker_is_written_where_only_its_owner_reads_it() {
    let place = Place::new();
    let (_standalone, _) = place.standalone().await;
    let mode = |name: &str| std::fs::metadata(place.path().join(name)).expect("a file").permissions().mode() & 0o777;
    let made = place.run(&["worker", "add", "web1", "--output", "web1.ini"]).await;
    assert_eq!((made.code, made.out.as_str()), (0, ""), "{made:?}");
    assert!(std::fs::read_to_string(place.path().join("web1.ini")).expect("text").contains("secret = "));
    assert_eq!(mode("web1.ini"), 0o600);
    // A file that is there is not written over, and no worker is made for it.
    let again = place.run(&["worker", "add", "web2", "--output", "web1.ini"]).await;
    assert_eq!((again.code, again.err.lines().count()), (73, 1), "{again:?}");
    let workers = place.run(&["workers", "--json"]).await;
    assert!(!workers.out.contains("web2"), "{workers:?}");
    // A worker that is refused leaves no file.
    let twice = place.run(&["worker", "add", "web1", "--output", "other.ini"]).await;
    assert_eq!(twice.code, 1, "{twice:?}");
    assert!(!place.path().join("other.ini").exists());
    // A shell makes files that others can read: that is said.
    let open =
        OpenOptions::new().write(true).create(true).truncate(true).open(place.path().join("open.ini")).expect("a file");
    std::fs::set_permissions(place.path().join("open.ini"), PermissionsExt::from_mode(0o644)).expect("a mode");
    let done =
        finish(place.command(&["worker", "add", "web3"]).stdout(Stdio::from(open)).spawn().expect("the command")).await;
    assert_eq!(done.code, 0, "{done:?}");
    assert!(done.err.contains("--output"), "{done:?}");
}

#[tokio::test]
async fn signals_that_were_ignored_at_the_start_stay_ignored() {
    let place = Place::new();
    // As `nohup` starts it, and as a shell without job control starts what is behind an `&`.
    let line = format!("trap '' HUP INT; exec {} standalone --listen 127.0.0.1:0", crate::program::JOB_RUNNER);
    let mut standalone = place.start_by("sh", &["-c", &line]);
    standalone.line_with("/login?token=").await;
    standalone.signal(Signal::SIGHUP);
    standalone.signal(Signal::SIGINT);
    let jobs = place.run(&["jobs"]).await;
    assert_eq!(jobs.code, 0, "{jobs:?}");
    // What a signal does is done in order: were one of them heard, this drain would be a second wish.
    place.script("hello", "#!/bin/sh\necho hello\n");
    assert_eq!(place.run(&["run", "hello"]).await.out, "hello\n");
    standalone.signal(Signal::SIGTERM);
    let done = standalone.end().await;
    assert_eq!(done.code, 0, "{done:?}");
    assert_eq!(done.err.matches("the next signal kills them").count(), 1, "{done:?}");

    let line = format!("trap '' HUP; exec {} run --quiet waits", crate::program::JOB_RUNNER);
    let fifo = place.path().join("go");
    place.script(
        "waits",
        &format!("#!/bin/sh\nmkfifo {0}\necho begun\nread line < {0}\necho \"$line\"\n", fifo.display()),
    );
    let mut run = place.start_by("sh", &["-c", &line]);
    run.line_with("begun").await;
    run.signal(Signal::SIGHUP);
    tokio::fs::write(&fifo, "on\n").await.expect("the script reads");
    let done = run.end().await;
    assert_eq!((done.code, done.out.as_str()), (0, "on\n"), "{done:?}");
}
