//! The status socket: whoever of our user connects is told what is known, as one JSON object.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::{UnixListener, UnixStream};

use super::{EXIT_FAILURE, say, socket_path};
use crate::worker::Status;

/// How long somebody who asks may take to listen, and we to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// The service cannot be had: nobody answers (`EX_UNAVAILABLE`).
const EXIT_UNAVAILABLE: u8 = 69;

/// The next line of a value in the table.
const BELOW: &str = "\n                     ";

/// Where we are asked.
pub struct Listening {
    listener: UnixListener,
    path: PathBuf,
}

impl Listening {
    /// Nobody can ask any more.
    pub fn close(self) {
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
        Ok(listener) => Some(Listening { listener, path }),
        Err(e) => {
            tracing::warn!(target: "job_runner_worker.runner", "--status will not work, {}: {e}", path.display());
            None
        }
    }
}

/// Waits until somebody asks.
pub async fn asked(listening: Option<&Listening>) -> UnixStream {
    let Some(listening) = listening else { return std::future::pending().await };
    loop {
        if let Ok((stream, _)) = listening.listener.accept().await {
            return stream;
        }
        // Out of descriptors, most likely: nothing that a fast retry would change.
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Answers.
pub async fn answer(mut asked: UnixStream, status: &Status) {
    let mut line = serde_json::to_vec(status).unwrap_or_default();
    line.push(b'\n');
    let _ = tokio::time::timeout(PATIENCE, asked.write_all(&line)).await;
}

/// Asks the worker of a state directory, and prints what it says.
pub fn ask(state: &Path, json: bool) -> u8 {
    let path = socket_path(state);
    let mut text = String::new();
    let asked = std::os::unix::net::UnixStream::connect(&path).and_then(|mut stream| {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.read_to_string(&mut text)
    });
    if let Err(e) = asked {
        say(format_args!("no worker answers at {}: {e}", path.display()));
        return EXIT_UNAVAILABLE;
    }
    let shown = if json { text } else { table(&text) };
    match std::io::stdout().lock().write_all(shown.as_bytes()) {
        Ok(()) => 0,
        Err(_) => EXIT_FAILURE,
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
