//! One binary for the whole suite.

#[path = "../support/mod.rs"]
mod support;

mod broadcast;
mod command_line;
mod daemon;
mod drain;
mod fixture_server;
mod fixture_worker;
mod house;
mod kill;
mod log;
mod recovery;
mod rest;
mod run;

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
