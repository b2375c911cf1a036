//! The parts that a run passes through, one at a time: `cargo bench --bench micro`.

use std::path::PathBuf;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use futures_util::future::join_all;
use jobrunner::execution::shim::spool::Spool;
use jobrunner::report::{Durability, Outbox, OutboxEntry, OutboxLocation};
use jobrunner::run::{ApiKey, Attempt, RunId, Secret, excerpt};
use jobrunner::server::domain::model::{Schedule, Unit};
use jobrunner::server::domain::schedule::{Cron, Rule, next};
use jobrunner::wire::hmac;
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// How much of a log is kept by default, in bytes.
const LOG: u64 = 819_200;
/// The most that is read of a pipe at once.
const PIECE: usize = 64 << 10;

fn main() {
    divan::main();
}

/// Output of a script goes to the disk: a piece far behind the head, where it takes the place of what was there.
#[divan::bench(args = [64, PIECE])]
fn spool(bencher: Bencher, bytes: usize) {
    let folder = TempDir::new().expect("a temporary folder");
    let (head, tail) = excerpt::shares(LOG);
    let mut spool = Spool::new(&folder.path().join("output"), head, tail);
    spool.write(&vec![b'x'; 4 << 20]);
    let piece = vec![b'x'; bytes];
    bencher.counter(BytesCount::new(bytes)).bench_local(|| spool.write(black_box(&piece)));
}

/// What was kept becomes the text that is sent.
#[divan::bench]
fn excerpt_text(bencher: Bencher) {
    let (head, tail) = excerpt::shares(LOG);
    let line = b"a line of output as scripts print it\n";
    let kept = |bytes: u64| -> Vec<u8> { line.iter().copied().cycle().take(usize::try_from(bytes).unwrap()).collect() };
    let (head, tail) = (kept(head), kept(tail));
    bencher
        .counter(BytesCount::new(head.len() + tail.len()))
        .bench(|| excerpt::text(black_box(&head), 200 << 20, black_box(&tail), LOG));
}

/// A request is signed.
#[divan::bench(args = [0, 64, LOG as usize])]
fn signature(bencher: Bencher, bytes: usize) {
    let (key, secret) = (ApiKey::parse("worker").expect("a key"), Secret::new(b"verysecret".to_vec()));
    let body = vec![b'x'; bytes];
    bencher.bench(|| hmac::authorization(&key, &secret, "PATCH", "/api/v1/run/12345/", black_box(&body)));
}

/// Facts reach the disk, so many at once: they share a commit.
#[divan::bench(args = [1, 16, 256])]
fn outbox(bencher: Bencher, at_once: i64) {
    let folder = TempDir::new().expect("a temporary folder");
    let runtime = Runtime::new().expect("a runtime");
    let place = OutboxLocation {
        path: PathBuf::from(folder.path()).join("outbox.sqlite"),
        server: "http://127.0.0.1/".to_owned(),
        durability: Durability::Process,
        reserve: 0,
    };
    let (outbox, _) = runtime.block_on(Outbox::open(place)).expect("an outbox");
    let entries: Vec<OutboxEntry> = (1..=at_once).map(entry).collect();
    bencher
        .counter(divan::counter::ItemsCount::new(entries.len()))
        .bench_local(|| runtime.block_on(join_all(entries.iter().map(|entry| outbox.run(entry)))));
}

fn entry(run: i64) -> OutboxEntry {
    OutboxEntry {
        run: RunId::new(run).expect("a number"),
        attempt: Attempt(1),
        claim: None,
        losses: 0,
        token: "0123456789abcdef".to_owned(),
        run_log: None,
        start: None,
        end: None,
    }
}

/// When a job is due next.
#[divan::bench(args = ["interval", "cron"])]
fn schedule(bencher: Bencher, kind: &str) {
    let zone = Tz::Europe__Amsterdam;
    let schedule = match kind {
        "cron" => Schedule::Cron { expression: Cron::new("30 6 * * 1-5").expect("an expression"), zone },
        _ => Schedule::Interval { every: 1, unit: Unit::Day },
    };
    let now: DateTime<Utc> = "2026-03-28T12:00:00Z".parse().expect("a time");
    let rule = Rule { schedule: &schedule, excludes: &[], zone };
    bencher.bench(|| next(black_box(rule), None, now));
}
