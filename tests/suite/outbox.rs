//! Outbox: its rows are delivered in the end, too many hold new claims back, and it can be lost.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::support::{Fault, Latch, What, WorkerHome, prints};
use crate::{until, up};

/// Asks until the worker answers: it may have subscribed and not listen for questions yet.
async fn status(home: &WorkerHome) -> Value {
    let answered = async {
        loop {
            let answer = home.ask(&["--status", "--json"]).await;
            if !answer.stdout.is_empty() {
                return answer;
            }
        }
    };
    let answer = tokio::time::timeout(Duration::from_secs(30), answered).await.expect("an answer");
    serde_json::from_slice(&answer.stdout).expect("a status")
}

#[tokio::test]
async fn a_long_outbox_holds_new_claims_back_and_nothing_else() {
    // 25 results a slot may wait; with 12 left there is room again.
    let (server, mut worker) = up(&[("concurrent_jobs", "1"), ("log_level", "info")]).await;
    let refused = server.inject(Fault::on("PATCH", "/api/v1/run/", What::status(503)).setting("return_dts"));
    let runs: Vec<i64> = (0..30).map(|n| server.submit(prints(&n.to_string()))).collect();
    worker
        .wait_log(
            "no runs are claimed for now; running scripts continue reason=\"25 results wait to be taken by the server",
        )
        .await;
    let claimed = || server.look(|state| runs.iter().filter(|run| state.run(**run).claims() > 0).count());
    assert_eq!(claimed(), 25);
    let told = status(worker.home()).await;
    assert_eq!(
        (&told["held"][0], &told["backlog"], &told["seats_taken"], &told["hints"]),
        (&json!("25 results wait to be taken by the server"), &json!(25), &json!(0), &json!(5))
    );
    let table = String::from_utf8(worker.home().ask(&["--status"]).await.stdout).unwrap();
    assert!(table.contains("25 results wait to be taken by the server\n"), "{table}");
    // Pings are answered, and so are kills: of a run whose result waits, for example.
    server.ping();
    server.wait(|state| state.workers[0].ping_response_dts.is_some(), "a pong").await;
    let kill = server.kill(runs[0]);
    server.wait_executed(kill).await;
    assert_eq!(claimed(), 25);
    refused.lift();
    for run in &runs {
        assert_eq!(server.wait_returned(*run).await.return_success, Some(true));
    }
    worker.wait_log("resources suffice; runs are claimed again").await;
    let log = worker.log();
    assert_eq!(log.matches("no runs are claimed for now").count(), 1, "{log}");
    assert_eq!(log.matches("runs are claimed again").count(), 1, "{log}");
    assert_eq!(status(worker.home()).await["held"], json!([]));
    worker.assert_clean_end().await;
}

#[tokio::test]
async fn dead_letters_are_shown_with_their_reason_also_after_a_restart() {
    let (server, mut worker) = up(&[]).await;
    server.inject(Fault::on("POST", "/api/v1/run_log/", What::status(400)));
    let run = server.submit(prints("hello"));
    assert_eq!(server.wait_returned(run).await.return_success, Some(true));
    worker.wait_log(&format!("report was given up run={run} execution=1 part=log reason=")).await;
    for restarted in [false, true] {
        if restarted {
            worker.restart().await;
            server.wait(|state| state.subscribed("testworker") == 2, "the next worker").await;
        }
        let told = status(worker.home()).await;
        let letter = &told["dead_letters"][0];
        assert_eq!((&letter["run"], &letter["what"]), (&json!(run), &json!("log")), "{told}");
        assert!(letter["reason"].as_str().unwrap().contains("400"), "{told}");
        assert!(letter["at"].as_str().unwrap().ends_with("+00:00"), "{told}");
        assert_eq!(told["dead_letters"].as_array().unwrap().len(), 1);
        let table = String::from_utf8(worker.home().ask(&["--status"]).await.stdout).unwrap();
        let line = table.lines().find(|line| line.starts_with("dead letters ")).unwrap_or_default();
        assert!(line.contains(&format!("run {run}, log: ")) && line.contains("400"), "{table}");
    }
    worker.assert_clean_end().await;
}

fn outbox(home: &WorkerHome) -> PathBuf {
    home.own_state_path().join("outbox.sqlite")
}

fn change(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap_or_default();
    change(&mut bytes);
    fs::write(path, bytes).expect("a file");
}

/// Whether a process does something still.
fn alive(pid: i64) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.starts_with(" Z") && !rest.starts_with(" X"))
}

fn shim(home: &WorkerHome, run: i64) -> i64 {
    home.record(run, 1)[0]["shim"].as_i64().unwrap()
}

/// One run that lives, one that ended and one that was lost while no worker was there, one whose result was refused, and
/// one that was claimed and not launched; then the outbox is damaged. Nothing is executed twice, everything is told.
async fn survives(damage: impl Fn(&WorkerHome), set_aside: bool) {
    let (server, mut worker) = up(&[]).await;
    let home = worker.home().clone();
    let latches: Vec<Latch> = (0..3).map(|_| Latch::new()).collect();
    let [lives, ends, is_lost] = [0, 1, 2].map(|n| server.submit(latches[n].script(&n.to_string())));
    for (run, latch) in [lives, ends, is_lost].into_iter().zip(&latches) {
        server.wait_started(run).await;
        until("the script to begin", || latch.trace().len() == 1).await;
    }
    let down = server.inject(Fault::on("PATCH", "/api/v1/run/", What::status(503)).setting("return_dts"));
    let refused = server.submit(latches[0].straight_script("refused"));
    server.wait(|_| down.hits() > 0, "a refused result").await;
    let hanging = server.inject(Fault::on("GET", "/api/v1/job/", What::HangForever).once());
    let claimed = server.submit(latches[0].straight_script("claimed"));
    server
        .wait(|state| hanging.hits() == 1 && state.run(claimed).claims() == 1, "the claim and the look at the job")
        .await;
    let shims = [ends, is_lost].map(|run| shim(&home, run));
    worker.sigkill();
    worker.wait_exit().await;
    latches[1].let_through(1);
    kill(Pid::from_raw(i32::try_from(shims[1]).unwrap()), Signal::SIGKILL).unwrap();
    until("the end of two shims", || !shims.iter().any(|pid| alive(*pid))).await;
    damage(&home);
    server.clear_faults();
    worker.restart().await;
    worker.wait_log(&format!("running script is taken up again run={lives}")).await;
    latches[0].let_through(1);
    // Not before what was left of its first attempt is gone, or that would go through.
    until("the second attempt", || latches[2].executions("2") == 2).await;
    latches[2].let_through(1);
    for run in [lives, ends, is_lost, refused, claimed] {
        let row = server.wait_returned(run).await;
        assert_eq!((row.return_success, row.returns(), row.completions), (Some(true), 1, 1), "run {run}");
        assert!(row.check_order().is_ok() || run == claimed, "{:?}", row.check_order());
    }
    for (latch, name, times) in [(0, "0", 1), (1, "1", 1), (2, "2", 2), (0, "refused", 1), (0, "claimed", 1)] {
        assert_eq!(latches[latch].executions(name), times, "{name}");
    }
    let aside: Vec<String> = fs::read_dir(home.own_state_path())
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().into_string().ok())
        .filter(|name| name.starts_with("outbox.sqlite.corrupt-") && !name.ends_with("-wal") && !name.ends_with("-shm"))
        .collect();
    assert_eq!(aside.len(), usize::from(set_aside), "{aside:?}");
    let log = worker.log();
    assert_eq!(log.matches("outbox is damaged and set aside").count(), usize::from(set_aside), "{log}");
    if let Some(aside) = aside.first() {
        assert!(log.contains(&format!("{aside} error=")), "{log}");
    }
    worker.assert_clean_end().await;
}

/// The file and its write-ahead log, which has all of it while it is there.
fn change_all(home: &WorkerHome, with: impl Fn(&mut Vec<u8>)) {
    for name in ["outbox.sqlite", "outbox.sqlite-wal"] {
        change(&home.own_state_path().join(name), &with);
    }
}

#[tokio::test]
async fn p2_a_zeroed_outbox_loses_nothing() {
    survives(|home| change_all(home, |bytes| bytes.fill(0)), true).await;
}

#[tokio::test]
async fn p2_flipped_bytes_in_the_outbox_lose_nothing() {
    let flip = |bytes: &mut Vec<u8>| bytes.iter_mut().skip(100).step_by(7).for_each(|byte| *byte ^= 0x55);
    survives(|home| change_all(home, flip), true).await;
}

#[tokio::test]
async fn p2_a_write_ahead_log_that_is_cut_or_flipped_loses_nothing() {
    let log = |home: &WorkerHome| home.own_state_path().join("outbox.sqlite-wal");
    survives(|home| change(&log(home), |bytes| bytes.truncate(bytes.len() * 2 / 3)), false).await;
    survives(
        |home| change(&log(home), |bytes| bytes.iter_mut().skip(3000).step_by(500).for_each(|byte| *byte ^= 1)),
        false,
    )
    .await;
}

#[tokio::test]
async fn p2_an_outbox_that_is_gone_or_empty_loses_nothing() {
    survives(
        |home| {
            for name in ["outbox.sqlite", "outbox.sqlite-wal", "outbox.sqlite-shm"] {
                let _ = fs::remove_file(home.own_state_path().join(name));
            }
        },
        false,
    )
    .await;
    survives(|home| change(&outbox(home), Vec::clear), false).await;
}
