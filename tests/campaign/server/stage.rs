//! The server and its workers as processes, at the same place in each of their lives, and who asks them.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use jobrunner::crash_point;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::clock;

/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(5);
/// How often is looked.
pub const LOOK: Duration = Duration::from_millis(50);
/// What gives a process another clock, where it is installed (Debian: libfaketime).
const FAKE_TIME: [&str; 2] =
    ["/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1", "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1"];

/// Whether clocks can be set wrong here.
pub fn fake_time() -> Option<&'static str> {
    FAKE_TIME.into_iter().find(|library| Path::new(library).exists())
}

/// Where the server is, in each of its lives.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    pub http: SocketAddr,
    pub broadcaster: SocketAddr,
    pub events: SocketAddr,
}

impl Place {
    pub fn free() -> Self {
        // Held together, so that they differ. Another process could take one before the server does; then it says so.
        let listeners = [(); 3].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port"));
        let [http, broadcaster, events] = listeners.map(|listener| listener.local_addr().expect("its address"));
        Self { http, broadcaster, events }
    }

    /// Writes the server's configuration.
    pub fn configure(self, folder: &Path, data: &Path) {
        let Self { http, broadcaster, events } = self;
        let ini = format!(
            "[job_runner]\nwebsocket_listen = none\ndata_path = {}\nlisten = {http}\nbroadcaster_listen = {broadcaster}\n\
             events_listen = {events}\nannounce_interval = 1\nping_interval = 20\n",
            data.display()
        );
        fs::write(folder.join("server.ini"), ini).expect("the configuration");
    }

    /// Writes the configuration of a worker, which calls over an uplink or over HTTP alone. Where its clock is wrong, the
    /// server refuses it the uplink.
    pub fn configure_worker(self, folder: &Path, key: &str, secret: &str, slots: usize, has_uplink: bool) {
        let home = folder.join(key);
        for part in ["scripts", "state"] {
            fs::create_dir_all(home.join(part)).expect("a folder");
        }
        let mut ini = "[job_runner_worker]\n".to_owned();
        for (name, value) in [
            ("api_base_url", format!("http://{}", self.http)),
            ("api_key", key.to_owned()),
            ("secret", secret.to_owned()),
            ("concurrent_jobs", slots.to_string()),
            ("ws_server_hostname", "127.0.0.1".to_owned()),
            ("ws_server_port", self.events.port().to_string()),
            ("broadcaster_server_hostname", "127.0.0.1".to_owned()),
            ("broadcaster_server_port", self.broadcaster.port().to_string()),
            ("script_temp_path", home.join("scripts").display().to_string()),
            ("state_path", home.join("state").display().to_string()),
            ("leftovers", "stop".to_owned()),
            // Scripts have the right clock: libfaketime waits for ever for a lock whose holder was killed.
            ("environment", "clean".to_owned()),
            ("linger", "0.3".to_owned()),
            ("kill_grace", "1".to_owned()),
        ] {
            writeln!(ini, "{name} = {value}").expect("a string");
        }
        if has_uplink {
            writeln!(ini, "ws_url = ws://{}/worker", self.http).expect("a string");
        }
        fs::write(home.join("worker.ini"), ini).expect("the configuration");
    }
}

/// A process that lives again and again.
pub struct Lives {
    name: String,
    program: PathBuf,
    arguments: Vec<String>,
    folder: PathBuf,
    child: Child,
}

/// What time it is for a process.
#[derive(Clone, Debug)]
pub enum Time {
    /// Wrong by so many hours for all of its life.
    Wrong(i32),
    /// As far ahead as a file says, at each moment.
    AsInFile(PathBuf),
}

impl Lives {
    pub fn server(program: &Path, folder: &Path) -> Self {
        let config = folder.join("server.ini").display().to_string();
        Self::begin(
            "server",
            program,
            vec!["serve".to_owned(), "--config".to_owned(), config],
            folder,
            Time::AsInFile(clock::file(folder)),
        )
    }

    pub fn worker(program: &Path, folder: &Path, key: &str, skew: i32) -> Self {
        let config = folder.join(key).join("worker.ini").display().to_string();
        Self::begin(key, program, vec!["--config-path".to_owned(), config], folder, Time::Wrong(skew))
    }

    fn begin(name: &str, program: &Path, arguments: Vec<String>, folder: &Path, time: Time) -> Self {
        let child = spawn(name, program, &arguments, folder, time);
        Self { name: name.to_owned(), program: program.to_owned(), arguments, folder: folder.to_owned(), child }
    }

    /// The next life.
    pub fn again(&mut self, time: Time) {
        self.child = spawn(&self.name, &self.program, &self.arguments, &self.folder, time);
    }

    pub fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    pub fn signal(&self, signal: Signal) {
        let _ = kill(Pid::from_raw(self.pid()), signal);
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Sends a signal that ends it; how it ended, if it did in time.
    pub async fn leave(&mut self, by: Signal, within: Duration) -> Option<ExitStatus> {
        self.signal(by);
        let until = Instant::now() + within;
        while Instant::now() < until {
            if let Some(status) = self.ended() {
                return Some(status);
            }
            tokio::time::sleep(LOOK).await;
        }
        None
    }

    /// How much memory it holds, in KiB.
    pub fn resident_kib(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).ok()?;
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        resident.trim().trim_end_matches(" kB").parse().ok()
    }
}

impl Drop for Lives {
    fn drop(&mut self) {
        self.kill();
    }
}

fn spawn(name: &str, program: &Path, arguments: &[String], folder: &Path, time: Time) -> Child {
    let log = File::options().create(true).append(true).open(folder.join(format!("{name}.log"))).expect("a log");
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("JOB_RUNNER_") || name == "CONFIG_PATH" || name == "STATE_DIRECTORY" {
            command.env_remove(&*name);
        }
    }
    if let Some(library) = fake_time() {
        let preloaded = match time {
            Time::Wrong(0) => &mut command,
            Time::Wrong(hours) => command.env("LD_PRELOAD", library).env("FAKETIME", format!("{hours:+}h")),
            // It is looked at once a second.
            Time::AsInFile(file) => command
                .env("LD_PRELOAD", library)
                .env("FAKETIME_TIMESTAMP_FILE", file)
                .env("FAKETIME_CACHE_DURATION", "1"),
        };
        preloaded.env("DONT_FAKE_MONOTONIC", "1").env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    }
    if name == "server" {
        command.env(crash_point::VARIABLE, crash_points(folder));
    }
    let command = command.args(arguments).env("FIXTURE_HOME", folder).stdin(Stdio::null());
    command.stdout(log.try_clone().expect("a log")).stderr(log).spawn().expect("the program")
}

/// The folder with the armed crash points of the server.
pub fn crash_points(folder: &Path) -> PathBuf {
    folder.join("crash-points")
}

/// Who asks the server as an operator does.
pub struct Operator {
    pub to: SocketAddr,
    pub token: String,
}

impl Operator {
    /// The status and the body, unless there is nobody to answer.
    pub fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Option<(u16, Value)> {
        let mut stream = TcpStream::connect_timeout(&self.to, ANSWER).ok()?;
        stream.set_read_timeout(Some(ANSWER)).ok()?;
        let body = body.map(Value::to_string).unwrap_or_default();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nAuthorization: Bearer {}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            self.to,
            self.token,
            body.len()
        );
        stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes())).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some((status, serde_json::from_str(body).unwrap_or(Value::Null)))
    }

    /// Asks until it is done or refused, however often the server is away meanwhile.
    pub async fn insist(&self, path: &str, body: &Value) -> Option<Value> {
        let until = Instant::now() + Duration::from_secs(60);
        while Instant::now() < until {
            match self.ask("POST", path, Some(body)) {
                Some((200..300, made)) => return Some(made),
                Some((400..500, _)) => return None,
                _ => tokio::time::sleep(LOOK).await,
            }
        }
        None
    }
}
