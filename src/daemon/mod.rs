//! Worker daemon: command line, settings, signals, drain, status socket and exit code.

#[allow(unsafe_code)] // mallopt
mod allocator;
mod logging;
mod manager;
mod reload;
mod runtime;
mod signals;
mod state;
mod status;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::cli::WorkerCommandLine;
use crate::config::{self, ConfigExit, Loaded};
use crate::execution::ShimProgram;
use crate::run::chain_of;
use crate::run::lifecycle::Leave;
use crate::worker::{self, RunningWorker, WorkerError};
pub use allocator::give_back_large_pieces;
pub use logging::{Level, flush as flush_log, start as start_log};
use manager::Manager;
use reload::Reloading;
pub use signals::{DaemonSignals, SignalRequest};
pub use state::{PidFile, StateError, take as take_state};
use status::Question;

/// Time that a worker which is to stop goes on with its start, so that it can drain what it takes up.
const UNSTARTED: Duration = Duration::from_secs(10);

/// Exit code: drained, nothing is under way.
pub const EXIT_DRAINED: u8 = 0;
/// Exit code: left at once, or could not continue.
pub const EXIT_FAILURE: u8 = 1;
/// Exit code: a directory or file that is needed cannot be used (`EX_CANTCREAT`).
pub const EXIT_CANNOT_CREATE: u8 = 73;
/// Exit code: the requested output cannot be written to stdout (`EX_IOERR`).
pub const EXIT_OUTPUT: u8 = 74;
/// Exit code: another worker holds the state directory, or this one handed over (`EX_TEMPFAIL`).
pub const EXIT_TEMPORARY: u8 = 75;
/// Exit code: the configuration is wrong (`EX_CONFIG`).
pub const EXIT_CONFIG: u8 = 78;

/// Does what the command line says and returns the exit code.
#[must_use]
pub fn main(args: Result<WorkerCommandLine, clap::Error>) -> u8 {
    match args {
        Ok(args) => carry_out(&args),
        // Help and version go to stdout with code 0, errors to stderr with 2.
        Err(said) => match written(said.print()) {
            0 => u8::try_from(said.exit_code()).unwrap_or(EXIT_FAILURE),
            code => code,
        },
    }
}

fn carry_out(args: &WorkerCommandLine) -> u8 {
    // Before the secret is read: no core dump is written, and no other process of the user can read our memory.
    let _ = nix::sys::prctl::set_dumpable(false);
    let loaded = match config::load(args.config_path.as_deref(), &args.surroundings()) {
        Ok(loaded) => loaded,
        Err(failure) => {
            say_lines("warning: ", &failure.warnings);
            say_lines("", &failure.mistakes);
            return failure.exit.code();
        }
    };
    if args.check_config {
        return check_config(&loaded);
    }
    if let Some(question) = question(args) {
        return status::ask(&loaded.settings.daemon.state_path, question, args.json);
    }
    let (warnings, mistakes) = config::check_paths(&loaded.settings);
    if !mistakes.is_empty() {
        say_lines("", &mistakes);
        return ConfigExit::CannotCreate.code();
    }
    let log = logging::start(args.log_format, loaded.settings.daemon.log_level);
    for warning in loaded.warnings.iter().chain(&warnings) {
        tracing::warn!(target: "job_runner_worker.config", "{warning}");
    }
    let code = work(loaded, Reloading::new(args.config_path.clone(), args.surroundings(), log));
    logging::flush();
    code
}

/// Returns the question to a running worker that the command line asks for.
fn question(args: &WorkerCommandLine) -> Option<Question> {
    match args {
        WorkerCommandLine { status: true, .. } => Some(Question::Status),
        WorkerCommandLine { sleep: true, .. } => Some(Question::Sleep),
        WorkerCommandLine { wake: true, .. } => Some(Question::Wake),
        WorkerCommandLine { retry_dead_letters: true, .. } => Some(Question::RetryDeadLetters),
        _ => None,
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
    let lock = match state::take(&settings.state_path) {
        Ok(lock) => lock,
        Err(error) => {
            say(&error);
            return error.exit_code();
        }
    };
    let _pid_file = match settings.pid_file.as_deref().map(state::PidFile::write).transpose() {
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
    let mut signals = match DaemonSignals::listen() {
        Ok(signals) => signals,
        Err(e) => {
            say(format_args!("signals cannot be listened to: {e}"));
            return EXIT_FAILURE;
        }
    };
    let settings = &loaded.settings;
    let (started, wish) = match start(settings, &mut signals).await {
        Start::Done(started, wish) => (started, wish),
        Start::Left(code) => return code,
    };
    let worker = match *started {
        Ok(worker) => worker,
        Err(error) => {
            tracing::error!(target: "job_runner_worker.runner", "{}", chain_of(&error));
            return match error {
                WorkerError::Outbox(crate::report::OutboxError::OtherServer { .. })
                | WorkerError::Client(_)
                | WorkerError::Tls(_) => EXIT_CONFIG,
                WorkerError::State(..) | WorkerError::Outbox(_) => EXIT_CANNOT_CREATE,
                WorkerError::ZeroMq(_) => EXIT_FAILURE,
            };
        }
    };
    tracing::info!(
        target: "job_runner_worker.runner",
        "Job Runner worker {} works for {}, state in {}",
        env!("CARGO_PKG_VERSION"),
        settings.rest.api_base_url,
        settings.daemon.state_path.display()
    );
    if nix::unistd::geteuid().is_root() {
        tracing::warn!(target: "job_runner_worker.runner", "the worker runs as root, and so does every job");
    }
    attend(worker, signals, wish, loaded, reloading).await
}

/// Result of an attempt to start the worker.
enum Start {
    /// The start is finished; with the request to stop that came meanwhile.
    Done(Box<Result<RunningWorker, WorkerError>>, Option<SignalRequest>),
    /// A signal asked the worker to leave before it was started; running scripts go on, for the next start to take up.
    /// Holds the exit code.
    Left(u8),
}

/// Starts the worker and handles signals meanwhile.
async fn start(settings: &config::Settings, signals: &mut DaemonSignals) -> Start {
    let starting = RunningWorker::start(of_worker(settings), ShimProgram::default());
    tokio::pin!(starting);
    let mut wish = None;
    // A timer that is practically never due until a signal resets it.
    let patience = tokio::time::sleep(Duration::from_secs(u64::from(u32::MAX)));
    tokio::pin!(patience);
    loop {
        tokio::select! {
            started = &mut starting => return Start::Done(Box::new(started), wish),
            () = &mut patience => return Start::Left(EXIT_FAILURE),
            heard = signals.next() => match heard {
                SignalRequest::Terminate if wish.is_none() => {
                    patience.as_mut().reset(tokio::time::Instant::now() + UNSTARTED);
                    wish = Some(SignalRequest::Terminate);
                }
                SignalRequest::Terminate => return Start::Left(EXIT_FAILURE),
                SignalRequest::HandOver => return Start::Left(EXIT_TEMPORARY),
                // There is no status yet, and the settings were read just now.
                SignalRequest::Dump | SignalRequest::Reload => {}
            },
        }
    }
}

fn of_worker(settings: &config::Settings) -> worker::Settings {
    let config::Settings { rest, source, intake, execution, report, daemon } = settings.clone();
    let (belongs_to, restarts) = (rest.api_base_url.to_string(), daemon.restart_exit_code.is_some());
    worker::Settings { rest, source, intake, execution, report, state_path: daemon.state_path, restarts, belongs_to }
}

/// Serves signals, status questions and the service manager until the worker may leave. Returns the exit code.
async fn attend(
    worker: RunningWorker,
    mut signals: DaemonSignals,
    mut heard: Option<SignalRequest>,
    mut loaded: Loaded,
    reloading: Reloading,
) -> u8 {
    let mut answers = status::listen(&loaded.settings.daemon.state_path);
    let mut manager = Manager::of_process(worker.executing());
    let mut terms = 0;
    let ending = {
        let drain = async {
            worker.drain().await;
        };
        tokio::pin!(drain);
        let patience = tokio::time::sleep(Duration::from_secs(u64::from(u32::MAX)));
        tokio::pin!(patience);
        loop {
            let wish = tokio::select! {
                wish = wished(&mut heard, &mut signals) => wish,
                // The drain is polled only after the first TERM; the future itself starts it.
                () = &mut drain, if terms > 0 => break Ending::Left(EXIT_DRAINED),
                () = &mut patience, if terms == 1 => {
                    tracing::warn!(target: "job_runner_worker.runner", "drain_timeout is over");
                    SignalRequest::Terminate
                }
                asked = status::asked(answers.as_mut()) => {
                    asked.answer(&worker).await;
                    continue;
                }
                leave = worker.asked_to_leave(), if terms == 0 => {
                    tracing::warn!(target: "job_runner_worker.runner", "{}", farewell(leave));
                    break Ending::asked_for(leave, loaded.settings.daemon.restart_exit_code);
                }
                () = manager.due() => {
                    // The status goes through the coordinator of the runs, so a sign of life proves that it is alive.
                    manager.tell(&worker.status().await);
                    continue;
                }
            };
            match wish {
                SignalRequest::Terminate => {
                    terms += 1;
                    match terms {
                        1 => {
                            if let Some(timeout) = loaded.settings.daemon.drain_timeout {
                                patience.as_mut().reset(tokio::time::Instant::now() + timeout);
                            }
                            announce_drain(&worker, &mut manager, &loaded.settings).await;
                        }
                        2 => {
                            tracing::warn!(target: "job_runner_worker.runner", "the runs are stopped; once more leaves at once");
                            worker.stop_runs().await;
                        }
                        _ => break Ending::HandedOver(EXIT_FAILURE),
                    }
                }
                SignalRequest::HandOver => break Ending::HandedOver(EXIT_TEMPORARY),
                SignalRequest::Dump => dump(&worker).await,
                SignalRequest::Reload => {
                    manager.reloading();
                    loaded = reloading.reload(&worker, loaded).await;
                    manager.reloaded();
                }
            }
        }
    };
    // The status socket goes first: a question after this point would not be answered.
    if let Some(listening) = answers {
        listening.close();
    }
    // Reported also when no signal came, as after a request of the server.
    manager.stopping(Some(Duration::ZERO));
    leave(worker, ending, &mut manager, third(&mut signals, terms)).await
}

/// Tells the service manager and the log that the worker drains.
async fn announce_drain(worker: &RunningWorker, manager: &mut Manager, settings: &config::Settings) {
    // A timeout kills the runs, which takes the grace period on top.
    manager.stopping(settings.daemon.drain_timeout.map(|timeout| timeout + settings.execution.kill_grace));
    let status = worker.status().await;
    manager.tell(&status);
    let runs = status.intake.runs.len();
    tracing::warn!(
        target: "job_runner_worker.runner",
        "Worker is going to terminate! Draining {runs} run(s); once more stops them"
    );
}

/// Leaves as the ending says, or at once where a third TERM comes first. Returns the exit code.
async fn leave(worker: RunningWorker, ending: Ending, manager: &mut Manager, third: impl Future<Output = ()>) -> u8 {
    let leaving = async {
        match ending {
            Ending::Left(code) => {
                worker.leave().await;
                code
            }
            Ending::HandedOver(code) => {
                worker.hand_over().await;
                code
            }
        }
    };
    let left = tokio::select! {
        code = leaving => code,
        () = third => EXIT_FAILURE,
        never = manager.hear_us_leave() => match never {},
    };
    tracing::info!(target: "job_runner_worker.runner", "Worker terminated");
    left
}

/// Returns the request that was heard during the start, or waits for the next.
async fn wished(heard: &mut Option<SignalRequest>, signals: &mut DaemonSignals) -> SignalRequest {
    match heard.take() {
        Some(wish) => wish,
        None => signals.next().await,
    }
}

/// End of the daemon's work, with the exit code.
enum Ending {
    /// Drained: neither a run nor a kill is under way.
    Left(u8),
    /// Running scripts go on, for the next start to take up.
    HandedOver(u8),
}

impl Ending {
    /// Returns the ending that the server asked for. A restart needs an exit code that says so to the supervisor.
    fn asked_for(leave: Leave, restart_exit_code: Option<u8>) -> Self {
        match (leave, restart_exit_code) {
            (Leave::Restart, Some(code)) => Self::Left(code),
            (Leave::Shutdown, _) | (Leave::Restart, None) => Self::Left(EXIT_DRAINED),
        }
    }
}

fn farewell(leave: Leave) -> &'static str {
    match leave {
        Leave::Shutdown => "Worker is going to terminate! The server asked for it",
        Leave::Restart => "Worker is going to terminate, to be started again! The server asked for it",
    }
}

/// Waits until the third TERM in all has come, which ends the process at once.
async fn third(signals: &mut DaemonSignals, mut terms: u32) {
    if terms >= 3 {
        // The third TERM has been followed already.
        std::future::pending::<()>().await;
    }
    while terms < 3 {
        terms += u32::from(signals.next().await == SignalRequest::Terminate);
    }
}

async fn dump(worker: &RunningWorker) {
    let status = serde_json::to_string(&worker.status().await).unwrap_or_default();
    tracing::info!(target: "job_runner_worker.runner", "status: {status}");
}

/// Returns the path of the status socket below a state directory.
fn socket_path(state: &Path) -> PathBuf {
    state.join("status.sock")
}
