//! HUP: the settings read again while the runs go on.

use std::fs;

use crate::support::{Latch, Options, Server, WorkerProcess, prints};
use crate::{up, up_with};

/// Sets keys of the ini file, and sends HUP.
fn change(worker: &WorkerProcess, keys: &[(&str, &str)]) {
    let home = worker.home();
    let text = fs::read_to_string(home.ini_path()).expect("the ini file");
    let sets = |line: &str| keys.iter().any(|(key, _)| line.starts_with(&format!("{key} =")));
    let kept = text.lines().filter(|line| !sets(line)).map(|line| format!("{line}\n"));
    let set = keys.iter().map(|(key, value)| format!("{key} = {value}\n"));
    home.write_ini(&kept.chain(set).collect::<String>());
    worker.sighup();
}

async fn changed(worker: &WorkerProcess, keys: &[(&str, &str)]) {
    let before = worker.log().matches("settings were read again").count();
    change(worker, keys);
    worker.wait_log_times("settings were read again", before + 1).await;
}

async fn begun(latch: &Latch, count: usize) {
    crate::until("scripts to begin", || latch.trace().iter().filter(|line| line.starts_with("begin")).count() >= count)
        .await;
}

async fn one_run(server: &Server) {
    let run = server.submit(prints("hello"));
    assert_eq!(server.wait_returned(run).await.log_text(), "hello\n");
}

#[tokio::test]
async fn the_log_level_changes_under_a_worker_that_runs() {
    let (server, mut worker) = up(&[("log_level", "info")]).await;
    one_run(&server).await;
    assert!(!worker.log().contains("DEBUG - "));
    changed(&worker, &[("log_level", "debug")]).await;
    assert!(worker.log().contains("settings were read again applied=log_level\n"));
    one_run(&server).await;
    assert!(worker.log().contains("DEBUG - "));
    worker.assert_clean_end().await;
}

#[tokio::test]
async fn the_number_of_slots_can_grow_and_shrink() {
    let (server, mut worker) = up(&[("concurrent_jobs", "1")]).await;
    let latch = Latch::new();
    let runs: Vec<i64> = (0..6).map(|n| server.submit(latch.script(&n.to_string()))).collect();
    begun(&latch, 1).await;
    changed(&worker, &[("concurrent_jobs", "3")]).await;
    begun(&latch, 3).await;
    // Nobody is disturbed, and nobody takes the slot of the next two that end.
    changed(&worker, &[("concurrent_jobs", "1")]).await;
    for ended in 1..=3 {
        latch.let_through(1);
        server
            .wait(|state| runs.iter().filter(|run| state.run(**run).return_dts.is_some()).count() >= ended, "an end")
            .await;
    }
    begun(&latch, 4).await;
    latch.let_through(3);
    for run in &runs {
        server.wait_returned(*run).await;
        server.assert_whole_life(*run);
    }
    let trace = latch.trace();
    let alone = trace.iter().skip_while(|line| !line.starts_with("end")).skip(3);
    let alone: Vec<&str> = alone.map(|line| line.split(' ').next().unwrap_or_default()).collect();
    assert_eq!(alone, ["begin", "end", "begin", "end", "begin", "end"], "{trace:?}");
    worker.assert_clean_end().await;
}

#[tokio::test]
async fn a_run_keeps_its_settings_and_the_next_gets_the_new_ones() {
    let (server, mut worker) = up(&[]).await;
    let latch = Latch::new();
    let first = server.submit(latch.script("first"));
    begun(&latch, 1).await;
    changed(&worker, &[("run_timeout", "0.2"), ("max_log_bytes", "50")]).await;
    let second = server.submit(latch.script("second"));
    let row = server.wait_returned(second).await;
    assert!(row.log_text().ends_with("it ran longer than its time limit allows.\n"), "{}", row.log_text());
    latch.let_through(1);
    let row = server.wait_returned(first).await;
    assert_eq!((row.log_text(), row.return_success), ("waiting\nthrough\n", Some(true)));
    worker.assert_clean_end().await;
}

#[tokio::test]
async fn orders_and_events_move_to_other_hosts() {
    let (server, mut worker) = up(&[]).await;
    let other = Server::start(Options::default()).await;
    one_run(&server).await;
    let (broadcaster, events) = (other.broadcaster().port().to_string(), other.event_intake().port().to_string());
    changed(&worker, &[("broadcaster_server_port", &broadcaster), ("ws_server_port", &events)]).await;
    other.wait_up().await;
    // Heard from there; looked up where the API is.
    let run = server.add_run(prints("moved"));
    other.announce_to("testworker", run);
    assert_eq!(server.wait_returned(run).await.log_text(), "moved\n");
    other.wait_event("returned", run).await;
    assert!(!server.look(|state| state.has_run_event("returned", run)));
    worker.assert_clean_end().await;
}

#[tokio::test]
async fn a_websocket_can_be_added_and_removed() {
    let (server, mut worker) = up(&[]).await;
    let url = server.ws_url();
    changed(&worker, &[("ws_url", &url)]).await;
    server.wait_websockets(1).await;
    let run = server.add_run(prints("pushed"));
    server.push_ws(&serde_json::json!({"action": "enqueue", "run_id": run}));
    assert_eq!(server.wait_returned(run).await.log_text(), "pushed\n");
    changed(&worker, &[("ws_url", "none")]).await;
    server.wait(|state| state.open_websockets() == 0, "the end of the connection").await;
    worker.assert_clean_end().await;
}

#[tokio::test]
async fn a_new_secret_signs_the_next_calls() {
    let (server, mut worker) = up(&[]).await;
    one_run(&server).await;
    server.change(|state| state.workers[0].secret = "another".to_owned());
    changed(&worker, &[("secret", "another")]).await;
    one_run(&server).await;
    assert!(!worker.log().contains("another"));
    worker.assert_clean_end().await;
}

#[tokio::test]
async fn settings_that_need_a_restart_are_named_and_kept() {
    let (server, mut worker) = up(&[]).await;
    let elsewhere = tempfile::TempDir::new().unwrap();
    let place = elsewhere.path().display().to_string();
    let keys = [("state_path", place.as_str()), ("script_temp_path", &place), ("api_key", "other"), ("linger", "7")];
    changed(&worker, &keys).await;
    worker.wait_log("leaves the runs alone changed=api_key,script_temp_path,state_path").await;
    assert!(worker.log().contains("applied=linger\n"));
    one_run(&server).await;
    assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0);
    worker.assert_clean_end().await;
}

#[tokio::test]
async fn a_broken_file_changes_nothing_and_every_mistake_is_told() {
    let (server, mut worker) = up_with(Options::default(), &[("log_level", "info")]).await;
    change(&worker, &[("log_level", "debug"), ("concurrent_jobs", "0"), ("linger", "soon")]);
    worker.wait_log("settings stay as they were").await;
    for mistake in [r#"concurrent_jobs: \"0\" will not do"#, r#"linger: \"soon\" is no number of seconds"#] {
        assert!(worker.log().contains(mistake), "{mistake}");
    }
    // What only the disk can tell, and what only a connection needs.
    change(&worker, &[("concurrent_jobs", "2"), ("linger", "1"), ("ca_file", "/no/such/file")]);
    worker.wait_log("ca_file: /no/such/file cannot be read").await;
    let empty = worker.home().path().join("empty.pem");
    fs::write(&empty, "").unwrap();
    change(&worker, &[("ca_file", &empty.display().to_string())]);
    worker.wait_log("contains no certificate in PEM form").await;
    worker.wait_log_times("settings stay as they were", 3).await;
    fs::remove_file(worker.home().ini_path()).unwrap();
    worker.sighup();
    worker.wait_log_times("settings stay as they were", 4).await;
    one_run(&server).await;
    assert!(!worker.log().contains("DEBUG - "));
    worker.assert_clean_end().await;
}
