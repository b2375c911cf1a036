//! Descriptors: how many the server and its jobs may use, and a shortage of them.

use std::net::Ipv4Addr;

use jobrunner::wire::zmtp::{GREETING, SocketRole, ready, rest, subscription};
use nix::sys::signal::Signal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::http::ask;
use crate::program::{JOB_RUNNER, Place, finish};
use crate::steady_load::PATIENCE;
use crate::{port, wait};

/// The soft limit of a user; the hard one is the system's.
const OF_USER: u64 = 300;

/// What is executed under the user's soft limit.
fn under_limit(args: &str) -> String {
    format!("ulimit -S -n {OF_USER}; exec {JOB_RUNNER} {args}")
}

/// The soft limit of a process and its hard one.
fn limits(pid: u32) -> (u64, u64) {
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).expect("it lives");
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).expect("its limit");
    let mut numbers = line.split_whitespace().map(|number| number.parse().expect("a number"));
    (numbers.next().expect("the soft one"), numbers.next().expect("the hard one"))
}

#[tokio::test]
async fn a_job_of_run_has_the_limit_of_its_user_while_the_server_has_all_there_is() {
    let place = Place::new();
    place.script(
        "limit.sh",
        "#!/bin/bash\ncat /proc/$(cut -d' ' -f4 /proc/$PPID/stat)/limits | grep 'open files'\nulimit -S -n\n",
    );
    let child = place.command_by("sh", &["-c", &under_limit("run limit.sh")]).spawn().expect("the command");
    let done = finish(child).await;
    assert_eq!(done.code, 0, "{done:?}");
    let mut lines = done.out.lines();
    let server: Vec<&str> = lines.next().expect("the limit of the server").split_whitespace().collect();
    assert_eq!(server[3], server[4], "soft and hard: {done:?}");
    assert_eq!(lines.next(), Some("300"), "{done:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_of_standalone_has_the_limit_of_its_user_while_the_server_has_all_there_is() {
    let place = Place::new();
    let limit = place.path().join("limit");
    place.script("limit.sh", &format!("#!/bin/bash\nulimit -S -n >{}\n", limit.display()));
    let mut standalone = place.start_by("sh", &["-c", &under_limit("standalone --listen 127.0.0.1:0")]);
    standalone.line_with("/login?token=").await;
    let (soft, hard) = limits(standalone.id());
    assert_eq!(soft, hard);
    let done = place.run(&["run", "limit.sh"]).await;
    assert_eq!((done.code, std::fs::read_to_string(&limit).ok().as_deref()), (0, Some("300\n")), "{done:?}");
    standalone.signal(Signal::SIGTERM);
    assert_eq!(standalone.end().await.code, 0);
}

/// More peers than the server has descriptors, each of which is as it should be, and stays.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_subscribers_take_no_descriptor_that_others_need() {
    let place = Place::new();
    let (http, broadcaster, events) = (port::free(), port::free(), port::free());
    let ini = format!(
        "[job_runner]\ndata_path = data\nlisten = 127.0.0.1:{http}\nbroadcaster_listen = 127.0.0.1:{broadcaster}\n\
         events_listen = 127.0.0.1:{events}\n"
    );
    std::fs::write(place.path().join("server.ini"), ini).expect("an ini file");
    let serve = format!("ulimit -n 128; exec {JOB_RUNNER} serve --config server.ini");
    let server = place.start_by("sh", &["-c", &serve]);
    let serves = async {
        while !(port::is_open(http) && port::is_open(broadcaster) && port::is_open(events)) {
            tokio::task::block_in_place(wait::pause);
        }
    };
    tokio::time::timeout(PATIENCE, serves).await.expect("it serves");
    let hello =
        [&GREETING[..], &rest(), &ready(SocketRole::Subscriber), &subscription(b"master.broadcast.none")].concat();
    let mut held = Vec::new();
    for _ in 0..300 {
        let Ok(mut stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, broadcaster)).await else { break };
        let _ = stream.write_all(&hello).await;
        held.push(stream);
    }
    for _ in 0..3 {
        let asked = ask((Ipv4Addr::LOCALHOST, http).into(), "GET", "/login", &[], None);
        assert_eq!(tokio::time::timeout(PATIENCE, asked).await.expect("somebody else is served").status, 401);
    }
    // Who comes when they are gone is heard.
    drop(held);
    let heard = async {
        loop {
            let mut theirs = vec![0; 64];
            let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, broadcaster)).await.expect("a connection");
            if stream.write_all(&hello).await.is_ok() && stream.read_exact(&mut theirs).await.is_ok() {
                return;
            }
            tokio::task::block_in_place(wait::pause);
        }
    };
    tokio::time::timeout(PATIENCE, heard).await.expect("there is room again");
    server.signal(Signal::SIGTERM);
    assert_eq!(server.end().await.code, 0);
}
