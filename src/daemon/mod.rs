//! Worker daemon: command line, settings, signals, drain, status socket and exit code.

#[allow(unsafe_code)] // mallopt
mod allocator;
mod exit_code;
mod logging;
mod manager;
mod reload;
mod runtime;
mod shutdown;
mod signals;
mod state_directory;
mod status;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::cli::{DaemonOptions, DaemonQuestion};
use crate::config::{self, ConfigExit, Loaded};
use crate::execution::ShimProgram;
use crate::intake::SleepState;
use crate::run::chain_of;
use crate::run::worker_lifecycle::Leave;
use crate::worker::{self, RunningWorker, WorkerError};
pub use allocator::give_back_large_pieces;
use exit_code::{EXIT_CANNOT_CREATE, EXIT_FAILURE, EXIT_OUTPUT};
pub use logging::{Level, flush as flush_log, start as start_log};
use manager::Manager;
use reload::Reloading;
use shutdown::{Effect, Input, LeaveWay, ShutdownPhase, StartFailure};
pub use signals::{DaemonSignals, SignalRequest};
pub use state_directory::{PidFile, StateError, take as take_state};
use status::Question;

/// Time that a worker which is to stop goes on with its start, so that it can drain what it takes up.
const UNSTARTED: Duration = Duration::from_secs(10);
/// Deadline of a timer that no effect has set: practically never.
const NEVER: Duration = Duration::from_secs(u32::MAX as u64);

/// Does what the command line says and returns the exit code.
#[must_use]
pub fn main(args: Result<DaemonOptions, clap::Error>) -> u8 {
    match args {
        Ok(args) => carry_out(&args),
        // Help and version go to stdout with code 0, errors to stderr with 2.
        Err(said) => match written(said.print()) {
            0 => u8::try_from(said.exit_code()).unwrap_or(EXIT_FAILURE),
            code => code,
        },
    }
}

fn carry_out(args: &DaemonOptions) -> u8 {
    // Before the secret is read: no core dump is written, and no other process of the user can read our memory.
    let _ = nix::sys::prctl::set_dumpable(false);
    let loaded = match config::load_of(args.program, args.config_path.as_deref(), &args.surroundings) {
        Ok(loaded) => loaded,
        Err(failure) => {
            say_lines("warning: ", &failure.warnings);
            say_lines("", &failure.mistakes);
            return failure.exit.code();
        }
    };
    if args.checks_config {
        return check_config(&loaded);
    }
    if let Some(question) = args.question {
        return status::ask(&loaded.settings.daemon.state_path, question_of(question), args.json);
    }
    let (warnings, mistakes) = config::check_paths(&loaded.settings);
    if !mistakes.is_empty() {
        say_lines("", &mistakes);
        return ConfigExit::CannotCreate.code();
    }
    let log = logging::start(args.log_format, loaded.settings.daemon.log_level);
    for warning in loaded.warnings.iter().chain(&warnings) {
        tracing::warn!(target: "job_runner_worker.config", %warning, "setting is questionable");
    }
    if args.logs_config {
        for entry in &loaded.effective {
            tracing::info!(target: "job_runner_worker.config", key = entry.key, value = entry.value_shown, "effective setting");
        }
    }
    let code = work(loaded, Reloading::new(args.config_path.clone(), args.surroundings.clone(), log));
    logging::flush();
    code
}

/// Returns a question of the command line as it is sent to the worker.
fn question_of(question: DaemonQuestion) -> Question {
    match question {
        DaemonQuestion::Status => Question::Status,
        DaemonQuestion::Sleep => Question::Sleep,
        DaemonQuestion::Wake => Question::Wake,
        DaemonQuestion::RetryDeadLetters => Question::RetryDeadLetters,
    }
}

fn check_config(loaded: &Loaded) -> u8 {
    let (warnings, mistakes) = config::check_paths(&loaded.settings);
    let entries: String = loaded.effective.iter().map(|entry| format!("{entry}\n")).collect();
    let printed = print(&entries);
    say_lines("warning: ", loaded.warnings.iter().chain(&warnings));
    say_lines("", &mistakes);
    // The code with which the start would fail for the same mistakes.
    if mistakes.is_empty() { printed } else { ConfigExit::CannotCreate.code() }
}

/// Prints text to stdout and returns the exit code.
fn print(text: &str) -> u8 {
    let mut out = std::io::stdout().lock();
    written(out.write_all(text.as_bytes()).and_then(|()| out.flush()))
}

/// Returns the exit code after a write to stdout. A reader that has closed the pipe has seen enough.
fn written(write: std::io::Result<()>) -> u8 {
    match write {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => {
            say(format_args!("the output cannot be written: {e}"));
            EXIT_OUTPUT
        }
        _ => 0,
    }
}

/// Writes lines to stderr, ignoring errors.
fn say_lines<'a>(prefix: &str, lines: impl IntoIterator<Item = &'a String>) {
    let mut err = std::io::stderr().lock();
    for line in lines {
        let _ = writeln!(err, "{prefix}{line}");
    }
}

fn say(line: impl std::fmt::Display) {
    logging::say(&line.to_string());
}

// The order of the steps is that of their need: the lock before the pid file, so that the file of a running worker is
// never overwritten.
fn work(loaded: Loaded, reloading: Reloading) -> u8 {
    let settings = loaded.settings.daemon.clone();
    let lock = match state_directory::take(&settings.state_path) {
        Ok(lock) => lock,
        Err(error) => {
            say(&error);
            return error.exit_code();
        }
    };
    let _pid_file = match settings.pid_file.as_deref().map(state_directory::PidFile::write).transpose() {
        Ok(file) => file,
        Err(e) => {
            say(e);
            return EXIT_CANNOT_CREATE;
        }
    };
    let runtime = match runtime::start() {
        Ok(runtime) => runtime,
        Err(e) => {
            say(format_args!("the runtime cannot be started: {e}"));
            return EXIT_FAILURE;
        }
    };
    // Blocking calls that hang must not keep the process alive; the lock is released last.
    let code = runtime.block_on(serve(loaded, reloading));
    runtime.shutdown_background();
    drop(lock);
    code
}

async fn serve(loaded: Loaded, reloading: Reloading) -> u8 {
    let mut signals = match DaemonSignals::listen(loaded.settings.daemon.signals) {
        Ok(signals) => signals,
        Err(e) => {
            say(format_args!("signals cannot be listened to: {e}"));
            return EXIT_FAILURE;
        }
    };
    let (started, phase, effect) = start(&loaded.settings, &mut signals).await;
    match (started, effect) {
        (_, Effect::Exit(code)) => code,
        (None, _) => EXIT_FAILURE,
        (Some(worker), effect) => {
            log_start(&loaded.settings);
            attend(worker, signals, phase, effect, loaded, reloading).await
        }
    }
}

fn log_start(settings: &config::Settings) {
    tracing::info!(
        target: "job_runner_worker.runner",
        worker = settings.upstream.worker(),
        version = env!("CARGO_PKG_VERSION"),
        address = %settings.upstream.address(),
        path = %settings.daemon.state_path.display(),
        "worker started"
    );
    if nix::unistd::geteuid().is_root() {
        tracing::warn!(target: "job_runner_worker.runner", "worker runs as root, and so does every job");
    }
}

/// Starts the worker and handles signals meanwhile. Returns the worker where the start succeeded before the process is
/// to exit, with the phase that it begins in and what is to be done first.
async fn start(
    settings: &config::Settings,
    signals: &mut DaemonSignals,
) -> (Option<RunningWorker>, ShutdownPhase, Effect) {
    let starting = RunningWorker::start(of_worker(settings), ShimProgram::default());
    tokio::pin!(starting);
    let mut phase = ShutdownPhase::Starting;
    let timer = tokio::time::sleep(NEVER);
    tokio::pin!(timer);
    loop {
        let mut worker = None;
        let input = tokio::select! {
            started = &mut starting => match started {
                Ok(started) => {
                    worker = Some(started);
                    Input::Started
                }
                Err(error) => {
                    tracing::error!(target: "job_runner_worker.runner", error = %chain_of(&error), "worker cannot be started");
                    Input::StartFailed(reason_of(&error))
                }
            },
            () = &mut timer => Input::StartTimeout,
            signal = signals.next() => Input::Signal(signal),
        };
        let effect;
        (phase, effect) = phase.step(input);
        match effect {
            Effect::BoundStart => timer.as_mut().reset(tokio::time::Instant::now() + UNSTARTED),
            Effect::Exit(_) => return (None, phase, effect),
            _ if worker.is_some() => return (worker, phase, effect),
            _ => {}
        }
    }
}

fn reason_of(error: &WorkerError) -> StartFailure {
    match error {
        WorkerError::Outbox(crate::report::OutboxError::OtherServer { .. })
        | WorkerError::Client(_)
        | WorkerError::Tls(_) => StartFailure::Settings,
        WorkerError::State(..) | WorkerError::Outbox(_) => StartFailure::Directory,
        WorkerError::ZeroMq(_) => StartFailure::Resource,
    }
}

fn of_worker(settings: &config::Settings) -> worker::Settings {
    let config::Settings { upstream, intake, execution, report, daemon } = settings.clone();
    let (belongs_to, restarts) = (upstream.address().to_string(), daemon.restart_exit_code.is_some());
    worker::Settings { upstream, intake, execution, report, state_path: daemon.state_path, restarts, belongs_to }
}

/// Serves signals, status questions and the service manager until the worker may leave. Returns the exit code.
///
/// The loop gathers inputs and performs effects; [`ShutdownPhase::step`] decides.
async fn attend(
    worker: RunningWorker,
    mut signals: DaemonSignals,
    mut phase: ShutdownPhase,
    mut effect: Effect,
    mut loaded: Loaded,
    reloading: Reloading,
) -> u8 {
    let mut questions = status::listen(&loaded.settings.daemon.state_path);
    let mut manager = Manager::of_process(worker.executing());
    let way = {
        let drain = async {
            worker.drain().await;
        };
        tokio::pin!(drain);
        let timer = tokio::time::sleep(NEVER);
        tokio::pin!(timer);
        loop {
            match std::mem::replace(&mut effect, Effect::Nothing) {
                Effect::Nothing | Effect::BoundStart => {}
                Effect::Drain => {
                    if let Some(timeout) = loaded.settings.daemon.drain_timeout {
                        timer.as_mut().reset(tokio::time::Instant::now() + timeout);
                    }
                    announce_drain(&worker, &mut manager, &loaded.settings).await;
                }
                stop @ (Effect::StopRuns | Effect::StopRunsLate) => stop_runs(&worker, stop).await,
                Effect::GiveBackRuns => {
                    manager.stopping(Some(loaded.settings.execution.kill_grace));
                    tracing::warn!(target: "job_runner_worker.runner", "runs are stopped and given back; the next TERM leaves at once");
                    worker.give_back_runs().await;
                }
                Effect::Sleep => _ = worker.want(SleepState::Asleep).await,
                Effect::Wake => _ = worker.want(SleepState::Awake).await,
                Effect::WriteStatus => log_status(&worker).await,
                Effect::Reload => {
                    manager.reloading();
                    loaded = reloading.reload(&worker, loaded).await;
                    manager.reloaded();
                }
                Effect::Leave(way) => break way,
                Effect::Exit(code) => return code,
            }
            let input = tokio::select! {
                signal = signals.next() => Input::Signal(signal),
                // The drain is polled only after the first TERM; the future itself starts it.
                () = &mut drain, if matches!(phase, ShutdownPhase::Draining | ShutdownPhase::Stopping) => Input::Drained,
                () = &mut timer, if phase == ShutdownPhase::Draining => Input::DrainTimeout,
                leave = worker.asked_to_leave(), if phase == ShutdownPhase::Serving => {
                    Input::AskedToLeave { leave, restart_exit_code: loaded.settings.daemon.restart_exit_code }
                }
                () = worker.refused(), if phase == ShutdownPhase::Serving => Input::Refused,
                question = status::asked(questions.as_mut()) => {
                    question.answer(&worker).await;
                    continue;
                }
                () = manager.due() => {
                    // The status goes through the coordinator of the intake, so a sign of life proves that it is alive.
                    manager.tell(&worker.status().await);
                    continue;
                }
            };
            (phase, effect) = phase.step(input);
        }
    };
    // The status socket goes first: a question after this point would not be answered.
    if let Some(listening) = questions {
        listening.close();
    }
    // Reported also when no signal came, as after a request of the server.
    manager.stopping(Some(Duration::ZERO));
    let code = leave(worker, way, phase, &mut signals, &mut manager).await;
    tracing::info!(target: "job_runner_worker.runner", code, "worker terminated");
    code
}

/// Tells the service manager and the log that the worker drains.
async fn announce_drain(worker: &RunningWorker, manager: &mut Manager, settings: &config::Settings) {
    // A timeout kills the runs, which takes the grace period on top.
    manager.stopping(settings.daemon.drain_timeout.map(|timeout| timeout + settings.execution.kill_grace));
    let status = worker.status().await;
    manager.tell(&status);
    let runs = status.intake.runs.len();
    tracing::warn!(target: "job_runner_worker.runner", runs, "worker drains; the next TERM stops its runs");
}

async fn stop_runs(worker: &RunningWorker, effect: Effect) {
    if effect == Effect::StopRunsLate {
        tracing::warn!(target: "job_runner_worker.runner", "drain_timeout is over");
    }
    tracing::warn!(target: "job_runner_worker.runner", "runs are stopped; the next TERM leaves at once");
    worker.stop_runs().await;
}

/// Leaves in this way, or at once where a further TERM says so. Returns the exit code.
async fn leave(
    worker: RunningWorker,
    way: LeaveWay,
    mut phase: ShutdownPhase,
    signals: &mut DaemonSignals,
    manager: &mut Manager,
) -> u8 {
    if let LeaveWay::Asked(leave) = way {
        let restarts = leave == Leave::Restart;
        tracing::warn!(target: "job_runner_worker.runner", restarts, "worker leaves because the server asked for it");
    }
    let leaving = async {
        match way {
            LeaveWay::Drained | LeaveWay::Asked(_) => worker.leave().await,
            LeaveWay::HandOver => worker.hand_over().await,
        }
    };
    tokio::pin!(leaving);
    loop {
        let input = tokio::select! {
            () = &mut leaving => Input::Left,
            signal = signals.next() => Input::Signal(signal),
            never = manager.hear_us_leave() => match never {},
        };
        let effect;
        (phase, effect) = phase.step(input);
        if let Effect::Exit(code) = effect {
            return code;
        }
    }
}

async fn log_status(worker: &RunningWorker) {
    let status = serde_json::to_string(&worker.status().await).unwrap_or_default();
    tracing::info!(target: "job_runner_worker.runner", status, "status of the worker");
}

/// Returns the path of the status socket below a state directory.
fn socket_path(state: &Path) -> PathBuf {
    state.join("status.sock")
}
