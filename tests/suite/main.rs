//! One binary for the whole suite.

#[path = "../support/mod.rs"]
mod support;

mod bench_figures;
mod broadcast;
mod campaign_refusals;
mod command_line;
mod daemon;
mod drain;
mod durability;
mod fixture_server;
mod fixture_worker;
mod flamenco;
mod fleet_oracle;
mod job_output;
mod job_scripts;
mod kill;
mod kill_trees;
mod language;
mod layers;
mod oracle;
mod outbox;
mod recovery;
mod reload;
mod resource_shortages;
mod rest_faults;
mod run;
mod run_model;
mod script_files;
mod secrets;
mod server_oracle;
mod service;
mod steps;
mod supervision;

use std::time::Duration;

use support::{Options, Server, WorkerOptions, WorkerProcess};

/// The worker's own binary.
fn worker() -> WorkerOptions {
    WorkerOptions::new(env!("CARGO_BIN_EXE_job_runner_worker"))
}

/// A server and a worker with these settings that it hears and that hears it.
async fn up(settings: &[(&str, &str)]) -> (Server, WorkerProcess) {
    up_with(Options::default(), settings).await
}

/// The same with a server that is set up like this.
async fn up_with(options: Options, settings: &[(&str, &str)]) -> (Server, WorkerProcess) {
    let server = Server::start(options).await;
    let options = settings.iter().fold(worker(), |options, (key, value)| options.set(key, value));
    let worker = WorkerProcess::start(&server, &options);
    server.wait_up().await;
    (server, worker)
}

/// Polls what tells nobody that it changes.
async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let looking = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(30), looking).await.is_ok(), "waited in vain for {what}");
}
