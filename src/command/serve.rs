//! `job_runner serve`: runs the server as a service.

use std::path::Path;

use super::args::Serve as Args;
use super::embedded::failure;
use super::exit::{CANNOT_CREATE, CommandFailure, OK, print, say};
use crate::config::{self, LoadedServer, SignalMeanings, Surroundings, load_server};
use crate::daemon::{DaemonSignals, Level, PidFile, SignalRequest, give_back_large_pieces, start_log};
use crate::server::Server;
use crate::server::http::connections::raise_descriptor_limit;

pub fn run(args: &Args) -> Result<u8, CommandFailure> {
    // Before any secret is read: no core dump is written, and no other process of the user can read our memory.
    let _ = nix::sys::prctl::set_dumpable(false);
    let loaded = match load(&args.config) {
        Ok(loaded) => loaded,
        Err(failure) => {
            failure.warnings.iter().for_each(|warning| say(format_args!("warning: {warning}")));
            failure.mistakes.iter().for_each(say);
            return Ok(failure.exit.code());
        }
    };
    if args.check_config {
        let lines: String = loaded.effective.iter().map(|entry| format!("{entry}\n")).collect();
        print(&lines)?;
        loaded.warnings.iter().for_each(|warning| say(format_args!("warning: {warning}")));
        return Ok(OK);
    }
    let level = start_log(args.log_format, loaded.settings.log_level);
    warn(&loaded.warnings);
    // A server starts no jobs, so no child process inherits the raised limit.
    let _ = raise_descriptor_limit();
    give_back_large_pieces();
    super::on_runtime(serve(loaded, args, level))
}

fn load(path: &Path) -> Result<LoadedServer, config::ConfigFailure> {
    load_server(path, &Surroundings::of_process())
}

async fn serve(mut loaded: LoadedServer, args: &Args, level: Level) -> Result<u8, CommandFailure> {
    let mut signals = DaemonSignals::listen(SignalMeanings::JOB_RUNNER)
        .map_err(|e| CommandFailure::new(super::exit::FAILURE, format!("cannot listen for signals: {e}")))?;
    let pid_file = loaded.settings.pid_file.as_deref().map(PidFile::write).transpose();
    let _pid_file = pid_file.map_err(|e| CommandFailure::new(CANNOT_CREATE, e))?;
    let server = Server::start(loaded.settings.server.clone()).await.map_err(|e| failure(&e))?;
    tracing::info!(
        target: "job_runner.server",
        version = env!("CARGO_PKG_VERSION"),
        address = %format_args!("http://{}/", server.http()),
        path = %loaded.settings.server.data.display(),
        "server started"
    );
    loop {
        match signals.next().await {
            SignalRequest::Terminate | SignalRequest::GiveBack | SignalRequest::HandOver => break,
            SignalRequest::Reload => loaded = reload(loaded, args, &level),
            SignalRequest::Dump | SignalRequest::Sleep | SignalRequest::Wake => {}
        }
    }
    server.stop().await;
    tracing::info!(target: "job_runner.server", "server stopped");
    Ok(OK)
}

fn warn(warnings: &[String]) {
    for warning in warnings {
        tracing::warn!(target: "job_runner.config", %warning, "setting is questionable");
    }
}

/// Reads the settings again and applies the log level; other changes are only reported. A mistake leaves everything as
/// it was.
fn reload(running: LoadedServer, args: &Args, level: &Level) -> LoadedServer {
    let fresh = match load(&args.config) {
        Ok(fresh) => fresh,
        Err(failure) => {
            warn(&failure.warnings);
            for mistake in &failure.mistakes {
                tracing::error!(target: "job_runner.config", %mistake, "setting is wrong");
            }
            tracing::error!(target: "job_runner.config", "settings stay as they were");
            return running;
        }
    };
    warn(&fresh.warnings);
    let later = running.on_restart(&fresh);
    if !later.is_empty() {
        tracing::warn!(target: "job_runner.config", changed = later.join(","), "settings take effect at the next start");
    }
    level.change(fresh.settings.log_level);
    tracing::info!(target: "job_runner.config", "settings were read again");
    let log_level = fresh.settings.log_level;
    LoadedServer { settings: config::ServerSettings { log_level, ..running.settings }, ..running }
}
