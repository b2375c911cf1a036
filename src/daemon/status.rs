//! The status socket: whoever of our user connects is told what is known, as one JSON object.
//!
//! Who says `sleep`, `wake` or `retry` first, in a line, has that done, and is told what is known then. Who says nothing and closes
//! his side, or waits, asks.

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

use super::{EXIT_FAILURE, print, say, socket_path};
use crate::intake::SleepState;
use crate::worker::RunningWorker;

/// How long somebody who asks may take to listen, and we to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// The service cannot be had: nobody answers (`EX_UNAVAILABLE`).
const EXIT_UNAVAILABLE: u8 = 69;

/// How long somebody who asks may keep silent before he is told what is known.
const SILENCE: Duration = Duration::from_secs(1);
/// The longest wish, in bytes.
const LONGEST_WISH: usize = 16;

/// What the worker of a state directory is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// What it does.
    Status,
    /// To take no new runs.
    Sleep,
    /// To take new runs.
    Wake,
    /// To tell the server at once what it rejected.
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

/// The next line of a value in the table.
const BELOW: &str = "\n                     ";

/// How many may ask at once.
const ASKERS: usize = 8;

/// Where we are asked.
pub struct Listening {
    asks: mpsc::Receiver<StatusQuestion>,
    accepting: AbortHandle,
    path: PathBuf,
}

impl Listening {
    /// Nobody can ask any more.
    pub fn close(self) {
        self.accepting.abort();
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Listens. That nobody can ask is no reason not to work.
pub fn listen(state: &Path) -> Option<Listening> {
    let path = socket_path(state);
    let _ = std::fs::remove_file(&path);
    let bound = UnixListener::bind(&path).and_then(|listener| {
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
            tracing::warn!(target: "job_runner_worker.runner", "--status will not work, {}: {e}", path.display());
            None
        }
    }
}

/// Takes in whoever asks, and hears what.
async fn accept(listener: UnixListener, asked: mpsc::Sender<StatusQuestion>) {
    let seats = Arc::new(Semaphore::new(ASKERS));
    loop {
        let Ok(seat) = Arc::clone(&seats).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let asked = asked.clone();
                tokio::spawn(async move {
                    let _ = asked.send(hear(stream).await).await;
                    drop(seat);
                });
            }
            // Out of descriptors, most likely: nothing that a fast retry would change.
            Err(_) => tokio::time::sleep(Duration::from_secs(1)).await,
        }
    }
}

async fn hear(mut stream: UnixStream) -> StatusQuestion {
    let mut line = Vec::new();
    let reading = async {
        while line.len() < LONGEST_WISH && line.last() != Some(&b'\n') {
            match stream.read_u8().await {
                Ok(byte) => line.push(byte),
                Err(_) => return,
            }
        }
    };
    let _ = tokio::time::timeout(SILENCE, reading).await;
    let wish = match line.as_slice() {
        b"sleep\n" => Some(Wish::Be(SleepState::Asleep)),
        b"wake\n" => Some(Wish::Be(SleepState::Awake)),
        b"retry\n" => Some(Wish::Retry),
        _ => None,
    };
    StatusQuestion { stream, wish }
}

/// Somebody who asks, and what.
pub struct StatusQuestion {
    stream: UnixStream,
    wish: Option<Wish>,
}

/// What is to be done before the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    Be(SleepState),
    /// What was rejected is told again.
    Retry,
}

/// Waits until somebody asks.
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
    /// Has done what is wished, and answers with what is known then; with nothing, where the worker is about to leave.
    pub async fn answer(mut self, worker: &RunningWorker) {
        let obeyed = match self.wish {
            Some(Wish::Be(wakefulness)) => worker.want(wakefulness).await,
            Some(Wish::Retry) => {
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

/// Asks the worker of a state directory, and prints what it says.
pub fn ask(state: &Path, question: Question, json: bool) -> u8 {
    let path = socket_path(state);
    let mut text = String::new();
    let asked = std::os::unix::net::UnixStream::connect(&path).and_then(|mut stream| {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(question.line().as_bytes())?;
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

/// What a worker does that was put to sleep or woken up, in a line.
fn obeyed(text: &str) -> String {
    let status = serde_json::from_str::<serde_json::Value>(text).unwrap_or_default();
    let runs = status["runs"].as_array().map_or(0, Vec::len);
    match status["duty"].as_str() {
        Some("draining") => format!("the worker sleeps when its {runs} run(s) are over\n"),
        Some(duty) => format!("the worker is {duty}\n"),
        None => text.to_owned(),
    }
}

/// What is told again, in a line.
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

/// Numbers side by side; sentences and dead letters each on a line, the next below the first.
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
