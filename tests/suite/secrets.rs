//! Secrets: what of them a job can find, and what of them is left in logs and files.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;

use nix::sys::signal::Signal;

use crate::support::{Fault, Latch, Options, Server, What, WorkerOptions, WorkerProcess, WorkerSpec, has_python, skip};
use crate::worker;

const CANARY: &str = "canary-7f3a91";

async fn up(options: &WorkerOptions) -> (Server, WorkerProcess) {
    let workers = vec![WorkerSpec::new("testworker", CANARY)];
    let reannounce = Some(std::time::Duration::from_millis(50));
    let server = Server::start(Options { workers, reannounce, ..Options::default() }).await;
    let worker = WorkerProcess::start(&server, options);
    server.wait_up().await;
    (server, worker)
}

/// The script that looks for the canary.
fn seeker(worker: &WorkerProcess) -> String {
    let home = worker.home();
    include_str!("../fixtures/scripts/seek_secret.py")
        .replace("@BACKWARDS@", &CANARY.chars().rev().collect::<String>())
        .replace("@INI@", home.ini_path().to_str().unwrap())
        .replace("@HOME@", home.path().to_str().unwrap())
}

/// The files below a folder that contain a text.
fn holders(folder: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let (path, kind) = (entry.path(), entry.file_type().unwrap());
        if kind.is_dir() {
            found.extend(holders(&path, text));
        } else if kind.is_file() {
            let bytes = fs::read(&path).unwrap_or_default();
            if bytes.windows(text.len()).any(|window| window == text.as_bytes()) {
                found.push(entry.file_name().into_string().unwrap());
            }
        }
    }
    found
}

#[tokio::test]
async fn p16_a_job_of_the_same_user_finds_the_secret_in_the_ini_file_and_nowhere_else() {
    if !has_python() {
        return;
    }
    let (server, worker) = up(&worker().unprivileged()).await;
    // Trouble is what tempts to tell too much.
    server.inject(Fault::on("PATCH", "/api/v1/run/", What::status(401)).once());
    server.inject(Fault::on("GET", "/api/v1/job/", What::status(503)).once());
    server.inject(Fault::on("POST", "/api/v1/run_log/", What::status(500)).once());
    let run = server.submit(seeker(&worker));
    let row = server.wait_returned(run).await;
    let log = row.log_text();
    assert!(log.starts_with("workers 1\nshim jr-shim\nclosed\nclosed\n"), "{log}");
    let found: Vec<&str> = log.lines().filter(|line| line.ends_with(": found")).collect();
    let nothing = log.lines().filter(|line| line.ends_with(": nothing")).count();
    assert_eq!((found, nothing), (vec!["ini file: found"], 14), "{log}");
    assert_eq!(row.return_success, Some(true));
}

#[tokio::test]
async fn p16_a_secret_from_the_environment_is_found_nowhere() {
    if !has_python() {
        return;
    }
    let options = worker().unprivileged().unset("secret").env("JOB_RUNNER_WORKER_SECRET", CANARY);
    let (server, worker) = up(&options).await;
    let run = server.submit(seeker(&worker));
    let log = server.wait_returned(run).await.log.expect("a log");
    assert!(log.starts_with("workers 1\nshim jr-shim\nclosed\nclosed\n"), "{log}");
    assert_eq!(log.lines().filter(|line| line.ends_with(": nothing")).count(), 15, "{log}");
}

#[tokio::test]
async fn p16_what_a_job_prints_of_a_secret_stands_nowhere() {
    let options = worker().unprivileged().env("DEPLOY_TOKEN", "deploy-token-canary");
    let (server, mut worker) = up(&options).await;
    let ini = worker.home().ini_path();
    let script = format!(
        "#!/bin/sh\ngrep secret {}\necho {CANARY}{CANARY} $DEPLOY_TOKEN\necho of the body >&2\n\
         echo waiting; while [ ! -e {home}/go ]; do sleep 0.05; done; kill -9 $$\n",
        ini.display(),
        home = worker.home().path().display()
    );
    let run = server.submit(script);
    server.wait_logged(run, "waiting").await;
    // On disk, while it runs: only what brought the secret there.
    let mut holding = holders(worker.home().path(), CANARY);
    holding.sort();
    let scripts = fs::read_dir(worker.home().scripts_path()).unwrap().count();
    assert_eq!((holding.len(), scripts), (2, 1), "{holding:?}");
    assert!(holding[0].starts_with("job-runner-") && holding[1] == "worker.ini", "{holding:?}");
    assert_eq!(holders(worker.home().path(), "deploy-token-canary"), Vec::<String>::new());
    fs::write(worker.home().path().join("go"), "").unwrap();
    let row = server.wait_returned(run).await;
    assert!(row.log_text().starts_with("secret = ****\n**** ****\nof the body\nwaiting\n"), "{}", row.log_text());
    worker.sigusr1();
    worker.wait_log("status of the worker status=").await;
    worker.assert_clean_end().await;
    let said = worker.log();
    assert!(said.contains("DEBUG - "), "{said}");
    for word in [CANARY, "deploy-token-canary", "of the body"] {
        assert!(!said.contains(word), "{word} in {said}");
    }
}

#[tokio::test]
async fn a_secret_in_pieces_is_taken_out_under_the_next_worker_too() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("more");
    fs::write(&file, "of-the-file\n").unwrap();
    let options = worker()
        .env("DEPLOY_TOKEN", "of-the-environment")
        .env("A_PIN", "of-no-concern")
        .set("redact_file", file.display())
        .set("log_update_interval", "0.2");
    let (server, mut worker) = up(&options).await;
    let latch = Latch::new();
    let pause = format!("read go < {}", latch.trace_path().with_file_name("pipe").display());
    let (first, second) = CANARY.split_at(7);
    let id = server.submit(format!(
        "#!/bin/sh\nprintf 'a {first}'\n{pause}\nprintf '{second}, of-the-envi'\n{pause}\nprintf 'ronment, of-'\n{pause}\n\
         printf \"the-file, $A_PIN, of-the\"\n"
    ));
    // What is held back is no more than what may be a secret.
    server.wait_logged(id, "a ").await;
    assert_eq!(server.run(id).log_text(), "a ");
    worker.restart().await;
    worker.wait_log("taken up again").await;
    latch.let_through(1);
    server.wait(move |state| state.run(id).log_text() == "a ****, ", "the first secret").await;
    latch.let_through(2);
    let row = server.wait_returned(id).await;
    assert_eq!(row.log_text(), "a ****, ****, ****, of-no-concern, of-the");
    server.assert_whole_life(id);
    // HUP reads the file again, for runs from the next one.
    fs::write(&file, "of-another-file\n").unwrap();
    worker.sighup();
    worker.wait_log("settings were read again").await;
    let id = server.submit("#!/bin/sh\necho of-the-file of-another-file\n");
    assert_eq!(server.wait_returned(id).await.log_text(), "of-the-file ****\n");
    worker.assert_clean_end().await;
}

#[tokio::test]
async fn p16_a_worker_leaves_no_core_and_jobs_keep_their_limit() {
    let folder = tempfile::tempdir().unwrap();
    let unlimited = folder.path().join("unlimited");
    let binary = env!("CARGO_BIN_EXE_job_runner_worker");
    fs::write(
        &unlimited,
        format!("#!/bin/sh\nulimit -c unlimited && cd {} || exit 9\nexec {binary} \"$@\"\n", folder.path().display()),
    )
    .unwrap();
    fs::set_permissions(&unlimited, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let abort = Command::new("sh")
        .args(["-c", "ulimit -c unlimited; kill -ABRT $$"])
        .current_dir(folder.path())
        .status()
        .unwrap();
    if !abort.core_dumped() {
        return skip("no process leaves a core on this machine");
    }
    for core in fs::read_dir(folder.path()).unwrap().flatten().filter(|entry| entry.path() != unlimited) {
        fs::remove_file(core.path()).unwrap();
    }
    let (server, mut worker) = up(&WorkerOptions::new(&unlimited)).await;
    let limit = server.submit("#!/bin/sh\nulimit -c\n");
    assert_eq!(server.wait_returned(limit).await.log_text(), "unlimited\n");
    worker.signal(Signal::SIGABRT);
    let status = worker.wait_exit().await;
    assert_eq!((status.signal(), status.core_dumped()), (Some(6), false));
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().flatten().map(|entry| entry.path()).collect();
    assert_eq!(left, [unlimited]);
}
