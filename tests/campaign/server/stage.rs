//! The server and its workers as processes, at the same place in each of their lives, and who asks them.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use jobrunner::crash_point::{self, Point};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::support::marked_processes;

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

    /// Writes the server's configuration: its data, its addresses, and further settings.
    pub fn configure(self, file: &Path, data: &Path, settings: &str) {
        let Self { http, broadcaster, events } = self;
        let ini = format!(
            "[job_runner]\nwebsocket_listen = none\ndata_path = {}\nlisten = {http}\nbroadcaster_listen = {broadcaster}\n\
             events_listen = {events}\n{settings}",
            data.display()
        );
        fs::write(file, ini).expect("the configuration");
    }

    /// Address of the uplink of workers.
    pub fn uplink(self) -> String {
        format!("ws://{}/worker", self.http)
    }

    /// Writes the configuration of a worker, with further settings.
    pub fn configure_worker(self, folder: &Path, key: &str, secret: &str, slots: usize, settings: &[(&str, String)]) {
        let home = folder.join(key);
        for part in ["scripts", "state"] {
            fs::create_dir_all(home.join(part)).expect("a folder");
        }
        let mut ini = "[job_runner_worker]\n".to_owned();
        let common = [
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
        ];
        for (name, value) in common.iter().chain(settings) {
            writeln!(ini, "{name} = {value}").expect("a string");
        }
        fs::write(home.join("worker.ini"), ini).expect("the configuration");
    }
}

/// A process that lives again and again.
pub struct Lives {
    program: Program,
    child: Child,
}

/// How a process is started, in each of its lives.
pub struct Program {
    /// Its log is named after it.
    pub name: String,
    pub file: PathBuf,
    pub arguments: Vec<String>,
    pub folder: PathBuf,
    /// The folder with its armed crash points, if it may die at them.
    pub crash_points: Option<PathBuf>,
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
    /// A server of this name, with its configuration and its crash points beside its log.
    pub fn server(name: &str, file: &Path, folder: &Path, time: Time) -> Self {
        let config = folder.join(format!("{name}.ini")).display().to_string();
        Self::begin(
            Program {
                name: name.to_owned(),
                file: file.to_owned(),
                arguments: vec!["serve".to_owned(), "--config".to_owned(), config],
                folder: folder.to_owned(),
                crash_points: Some(folder.join(format!("{name}.crash-points"))),
            },
            time,
        )
    }

    pub fn worker(file: &Path, folder: &Path, key: &str, skew: i32) -> Self {
        let config = folder.join(key).join("worker.ini").display().to_string();
        Self::begin(
            Program {
                name: key.to_owned(),
                file: file.to_owned(),
                arguments: vec!["--config-path".to_owned(), config],
                folder: folder.to_owned(),
                crash_points: None,
            },
            Time::Wrong(skew),
        )
    }

    fn begin(program: Program, time: Time) -> Self {
        let child = spawn(&program, time);
        Self { program, child }
    }

    /// The next life.
    pub fn again(&mut self, time: Time) {
        self.child = spawn(&self.program, time);
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

    /// Has it die at a point, at one of the next passages, and kills it where it does not come there in time. Whether it
    /// came there.
    pub async fn die_at(&mut self, point: Point, passing: u32, within: Duration) -> bool {
        let folder = self.program.crash_points.clone().expect("a program with crash points");
        let file = |passing: u32| folder.join(format!("{point:?}.{passing}"));
        fs::create_dir_all(&folder).expect("a folder");
        (1..=passing).for_each(|passing| fs::write(file(passing), "").expect("an armed point"));
        let until = Instant::now() + within;
        while self.ended().is_none() && Instant::now() < until {
            tokio::time::sleep(LOOK).await;
        }
        let came = self.ended().is_some();
        if !came {
            self.kill();
        }
        (1..=passing).for_each(|passing| drop(fs::remove_file(file(passing))));
        came
    }

    /// When it died at a point last, in seconds since the epoch.
    pub fn died_at(&self) -> Option<f64> {
        let dead = fs::read_to_string(self.program.crash_points.as_ref()?.join(crash_point::DEAD)).ok()?;
        dead.lines().last()?.rsplit(' ').next()?.parse().ok()
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

fn spawn(program: &Program, time: Time) -> Child {
    let log = program.folder.join(format!("{}.log", program.name));
    let log = File::options().create(true).append(true).open(log).expect("a log");
    let mut command = Command::new(&program.file);
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
    if let Some(crash_points) = &program.crash_points {
        command.env(crash_point::VARIABLE, crash_points);
    }
    let command = command.args(&program.arguments).env("FIXTURE_HOME", &program.folder).stdin(Stdio::null());
    command.stdout(log.try_clone().expect("a log")).stderr(log).spawn().expect("the program")
}

/// Processes of runs that live, each in words.
pub fn survivors(folder: &Path) -> Vec<String> {
    let of_a_run = |pid: &i32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|variable| variable.starts_with(b"JOB_RUNNER_RUN_ID="))
    };
    let command = |pid: i32| {
        let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        format!("process {pid} {:?}", String::from_utf8_lossy(&command).replace('\0', " "))
    };
    marked_processes(folder).into_iter().filter(of_a_run).map(command).collect()
}

/// Files of runs in the folders of a worker.
pub fn files_of_runs(folder: &Path, key: &str) -> Vec<String> {
    let home = folder.join(key);
    let state = home.join("state").join(key);
    let mut left = Vec::new();
    for part in [home.join("scripts"), state.join("runs"), state.join("shims")] {
        let entries = fs::read_dir(part).into_iter().flatten().flatten();
        left.extend(entries.map(|entry| format!("{} is left", entry.path().display())));
    }
    left
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
