//! Tests of the messages to the service manager.

use super::*;
use crate::intake;
use crate::worker::DeadLetterInfo;

fn status(runs: &[i64], backlog: usize, given_up: usize) -> WorkerStatus {
    let letter = DeadLetterInfo { at: String::new(), run: 1, what: String::new(), reason: String::new() };
    WorkerStatus {
        version: "3.0.0",
        pid: 1,
        api_key: "key".to_owned(),
        uptime_seconds: 1,
        server: "ok",
        seconds_since_ping: None,
        supervision: None,
        intake: intake::IntakeStatus { concurrent_jobs: 4, runs: runs.to_vec(), ..intake::IntakeStatus::default() },
        undelivered: runs.len() + backlog,
        backlog,
        dead_letters: vec![letter; given_up],
    }
}

#[test]
fn a_line_says_how_we_are() {
    assert_eq!(line(&status(&[], 0, 0), false), "0 of 4 runs, server ok");
    assert_eq!(line(&status(&[3, 5], 0, 0), false), "2 of 4 runs, server ok");
    assert_eq!(line(&status(&[3], 3, 1), true), "draining, 1 of 4 runs, server ok, 3 to report, 1 given up");
    let mut asleep = status(&[], 0, 0);
    asleep.intake.state = "asleep";
    assert_eq!(line(&asleep, false), "asleep: no new runs, 0 of 4 runs, server ok");
    let mut held = status(&[], 0, 0);
    held.intake.held = vec!["7 bytes are free where state_path is".to_owned()];
    assert_eq!(line(&held, false), "0 of 4 runs, server ok, nothing new: 7 bytes are free where state_path is");
}

#[test]
fn no_more_time_is_asked_for_than_is_left() {
    let micros = |left| extension(left).map(|word| word.to_string());
    assert_eq!(micros(Duration::ZERO), None);
    assert_eq!(micros(Duration::from_secs(90)).as_deref(), Some("EXTEND_TIMEOUT_USEC=90000000"));
    assert_eq!(micros(Duration::from_secs(1 << 40)).as_deref(), Some("EXTEND_TIMEOUT_USEC=3600000000"));
}

#[test]
fn who_does_not_listen_is_not_waited_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("notify");
    let listener = UnixDatagram::bind(&path).expect("a socket");
    let send = || send(path.as_os_str().as_bytes(), b"READY=1\n");
    let mut sent = 0;
    let refusal = loop {
        match send() {
            Ok(()) => sent += 1,
            Err(e) => break e,
        }
    };
    assert_eq!(refusal.kind(), io::ErrorKind::WouldBlock, "after {sent}");
    drop(listener);
    assert!(send().is_err());
    assert!(super::send(b"", b"READY=1\n").is_err());
}

#[test]
fn an_abstract_socket_is_a_socket_too() {
    let name = format!("job-runner-test-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).expect("a name");
    let listener = UnixDatagram::bind_addr(&address).expect("a socket");
    send(format!("@{name}").as_bytes(), b"READY=1\n").expect("somebody listens");
    let mut heard = [0; 20];
    let length = listener.recv(&mut heard).expect("a word");
    assert_eq!(&heard[..length], b"READY=1\n");
}
