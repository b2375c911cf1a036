//! Status socket: a local process of the same user that connects receives the worker's status as one JSON object.
//!
//! A client may first send the line `sleep`, `wake` or `retry`; the request is carried out before the status is sent. A
//! client that sends nothing, and closes its side or waits for a second, only asks for the status.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::AbortHandle;

use super::exit_code::EXIT_FAILURE;
use super::{print, say, socket_path};
use crate::intake::SleepState;
use crate::run::chain_of;
use crate::worker::RunningWorker;

/// Time that the client may take to read, and the worker to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Exit code: no worker answers (`EX_UNAVAILABLE`).
const EXIT_UNAVAILABLE: u8 = 69;

/// Time that a client may stay silent before it counts as asking for the status.
const SILENCE: Duration = Duration::from_secs(1);
/// Longest request of a client, in bytes.
const MAX_REQUEST_BYTES: usize = 16;

/// Question that the command line sends to a running worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// Asks for the status alone.
    Status,
    /// Puts the worker to sleep: no new runs.
    Sleep,
    /// Wakes the worker: new runs are taken.
    Wake,
    /// Delivers rejected results to the server again at once.
    RetryDeadLetters,
}

impl Question {
    fn line(self) -> &'static str {
        match self {
            Self::Status => "",
            Self::Sleep => "sleep\n",
            Self::Wake => "wake\n",
            Self::RetryDeadLetters => "retry\n",
        }
    }
}

/// Separator that puts further lines of a value below its first line in the table.
const BELOW: &str = "\n                     ";

/// Most clients that are served at once.
const ASKERS: usize = 8;

/// Listening status socket with the questions that came in.
pub struct Listening {
    asks: mpsc::Receiver<StatusQuestion>,
    accepting: AbortHandle,
    path: PathBuf,
}

impl Listening {
    /// Stops accepting clients and removes the socket file.
    pub fn close(self) {
        self.accepting.abort();
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Starts listening; `None`, with a warning in the log, if that fails: the worker runs without it.
pub fn listen(state: &Path) -> Option<Listening> {
    let path = socket_path(state);
    let _ = std::fs::remove_file(&path);
    let bound = UnixListener::bind(&path).and_then(|listener| {
        // Others may be able to look into the state directory, but only our own user may connect.
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
        Ok(listener)
    });
    match bound {
        Ok(listener) => {
            let (asked, asks) = mpsc::channel(ASKERS);
            let accepting = tokio::spawn(accept(listener, asked)).abort_handle();
            Some(Listening { asks, accepting, path })
        }
        Err(e) => {
            tracing::warn!(
                target: "job_runner_worker.runner",
                path = %path.display(),
                error = %chain_of(&e),
                "status socket cannot be opened; --status does not work"
            );
            None
        }
    }
}

/// Accepts clients and reads their requests.
async fn accept(listener: UnixListener, asked: mpsc::Sender<StatusQuestion>) {
    let seats = Arc::new(Semaphore::new(ASKERS));
    loop {
        // The permit is taken before the accept: further clients wait in the kernel's queue and hold no descriptor
        // here.
        let Ok(slot) = Arc::clone(&seats).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let asked = asked.clone();
                tokio::spawn(async move {
                    let _ = asked.send(hear(stream).await).await;
                    drop(slot);
                });
            }
            // Most likely the process is out of descriptors; an immediate retry would only spin.
            Err(_) => tokio::time::sleep(Duration::from_secs(1)).await,
        }
    }
}

async fn hear(mut stream: UnixStream) -> StatusQuestion {
    let mut line = Vec::new();
    let reading = async {
        while line.len() < MAX_REQUEST_BYTES && line.last() != Some(&b'\n') {
            match stream.read_u8().await {
                Ok(byte) => line.push(byte),
                Err(_) => return,
            }
        }
    };
    // A client that keeps its side open without a word only wants the status.
    let _ = tokio::time::timeout(SILENCE, reading).await;
    let request = match line.as_slice() {
        b"sleep\n" => Some(StatusRequest::SetSleep(SleepState::Asleep)),
        b"wake\n" => Some(StatusRequest::SetSleep(SleepState::Awake)),
        b"retry\n" => Some(StatusRequest::Retry),
        _ => None,
    };
    StatusQuestion { stream, request }
}

/// Client that waits for its answer, with its request.
pub struct StatusQuestion {
    stream: UnixStream,
    request: Option<StatusRequest>,
}

/// Action that is performed before the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StatusRequest {
    SetSleep(SleepState),
    /// Delivers rejected results again.
    Retry,
}

/// Waits for the next client; for ever if the socket could not be opened.
pub async fn asked(listening: Option<&mut Listening>) -> StatusQuestion {
    match listening {
        Some(listening) => match listening.asks.recv().await {
            Some(asked) => asked,
            None => std::future::pending().await,
        },
        None => std::future::pending().await,
    }
}

impl StatusQuestion {
    /// Performs the request and sends the status. Closes the connection without a word if the worker is about to leave.
    pub async fn answer(mut self, worker: &RunningWorker) {
        let obeyed = match self.request {
            Some(StatusRequest::SetSleep(wanted)) => worker.want(wanted).await,
            Some(StatusRequest::Retry) => {
                worker.retry();
                true
            }
            None => true,
        };
        if obeyed {
            let mut line = serde_json::to_vec(&worker.status().await).unwrap_or_default();
            line.push(b'\n');
            let _ = tokio::time::timeout(PATIENCE, self.stream.write_all(&line)).await;
        }
    }
}

/// Sends a question to the worker of a state directory and prints the answer. Returns the exit code.
pub fn ask(state: &Path, question: Question, json: bool) -> u8 {
    let path = socket_path(state);
    let mut text = String::new();
    let asked = std::os::unix::net::UnixStream::connect(&path).and_then(|mut stream| {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(question.line().as_bytes())?;
        // Closing our side saves the worker from waiting for a request that does not come.
        stream.shutdown(Shutdown::Write)?;
        stream.read_to_string(&mut text)
    });
    if let Err(e) = asked {
        say(format_args!("no worker answers at {}: {e}", path.display()));
        return EXIT_UNAVAILABLE;
    }
    if text.is_empty() {
        say(format_args!("the worker at {} is about to leave", path.display()));
        return EXIT_FAILURE;
    }
    let shown = match (question, json) {
        (_, true) => text,
        (Question::Status, false) => table(&text),
        (Question::Sleep | Question::Wake, false) => obeyed(&text),
        (Question::RetryDeadLetters, false) => retried(&text),
    };
    print(&shown)
}

/// Returns one line on the state of a worker that was put to sleep or woken.
fn obeyed(text: &str) -> String {
    let status = serde_json::from_str::<serde_json::Value>(text).unwrap_or_default();
    let runs = status["runs"].as_array().map_or(0, Vec::len);
    match status["duty"].as_str() {
        Some("draining") => format!("the worker sleeps when its {runs} run(s) are over\n"),
        Some(duty) => format!("the worker is {duty}\n"),
        None => text.to_owned(),
    }
}

/// Returns one line on the results that are delivered again.
fn retried(text: &str) -> String {
    let status = serde_json::from_str::<serde_json::Value>(text).unwrap_or_default();
    match status["backlog"].as_u64() {
        Some(0) => "no result waits to be told\n".to_owned(),
        Some(waiting) => format!("{waiting} result(s) are told again now; --status says what becomes of them\n"),
        None => text.to_owned(),
    }
}

fn table(text: &str) -> String {
    let Ok(serde_json::Value::Object(fields)) = serde_json::from_str(text) else { return text.to_owned() };
    fields
        .iter()
        .map(|(name, value)| {
            let value = match value {
                serde_json::Value::Null => "-".to_owned(),
                serde_json::Value::String(text) => text.clone(),
                serde_json::Value::Array(all) if all.is_empty() => "-".to_owned(),
                serde_json::Value::Array(all) => list(all),
                other => other.to_string(),
            };
            format!("{:<20} {value}\n", name.replace('_', " "))
        })
        .collect()
}

/// Joins numbers by commas; puts sentences and dead letters on a line each, below the first.
fn list(all: &[serde_json::Value]) -> String {
    let text = |value: &serde_json::Value, name: &str| match &value[name] {
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let numbers = all.iter().all(serde_json::Value::is_number);
    let lines = all.iter().map(|value| match value {
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Object(_) => {
            let [at, run, what, reason] = ["at", "run", "what", "reason"].map(|name| text(value, name));
            format!("{at} run {run}, {what}: {reason}")
        }
        other => other.to_string(),
    });
    lines.collect::<Vec<_>>().join(if numbers { ", " } else { BELOW })
}
