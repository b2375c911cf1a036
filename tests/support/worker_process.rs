//! The worker's binary as a child process with an ini file of its own.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::future::Future;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, Uid};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::sync::watch;

use super::process_sweep::{end_everything_marked, marked_processes};
use super::server::Server;

/// How long an exit may take before a wait for it fails.
const DEADLINE: Duration = Duration::from_secs(30);
/// Users of workers without rights: another one for each, so that none can do anything to another.
static USERS: AtomicU32 = AtomicU32::new(0);
/// How much of the worker's output a failed test prints.
const DUMPED_LINES: usize = 80;
/// Variables that would change what the worker does, wherever the tests run.
const FOREIGN_VARIABLES: [&str; 13] = [
    "CONFIG_PATH",
    "STATE_DIRECTORY",
    "XDG_STATE_HOME",
    "CREDENTIALS_DIRECTORY",
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "http_proxy",
    "https_proxy",
    "ALL_PROXY",
    "all_proxy",
];

/// How the worker is set up. Ini keys given here replace those that are made from the server.
#[derive(Clone, Debug)]
pub struct WorkerOptions {
    /// The binary, in a test `env!("CARGO_BIN_EXE_job_runner_worker")`.
    pub binary: PathBuf,
    /// Which of the server's workers it is, from 0.
    pub worker: usize,
    /// `None`: the key is left out.
    pub ini: Vec<(String, Option<String>)>,
    /// `None`: the variable is removed.
    pub env: Vec<(String, Option<OsString>)>,
    /// Arguments after `--config-path FILE`.
    pub args: Vec<String>,
    /// Prints what the worker says as it says it.
    pub echo: bool,
    /// Whether the worker is to run without root's rights, which it does anyway where the tests do.
    pub unprivileged: bool,
}

impl WorkerOptions {
    pub fn new(binary: impl Into<PathBuf>) -> Self {
        Self {
            binary: binary.into(),
            worker: 0,
            ini: Vec::new(),
            env: Vec::new(),
            args: Vec::new(),
            echo: false,
            unprivileged: false,
        }
    }

    /// Sets an ini key.
    pub fn set(mut self, key: &str, value: impl ToString) -> Self {
        self.ini.push((key.to_owned(), Some(value.to_string())));
        self
    }

    /// Leaves an ini key out.
    pub fn unset(mut self, key: &str) -> Self {
        self.ini.push((key.to_owned(), None));
        self
    }

    pub fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.env.push((name.to_owned(), Some(value.into())));
        self
    }

    pub fn arg(mut self, argument: &str) -> Self {
        self.args.push(argument.to_owned());
        self
    }

    /// The nth of the server's workers, from 0.
    pub fn worker(mut self, index: usize) -> Self {
        self.worker = index;
        self
    }

    /// Orders come over the WebSocket too.
    pub fn with_websocket(self, server: &Server) -> Self {
        let url = server.ws_url();
        self.set("ws_url", url)
    }

    pub fn echo(mut self) -> Self {
        self.echo = true;
        self
    }

    /// The worker runs as nobody where the tests run as root.
    pub fn unprivileged(mut self) -> Self {
        self.unprivileged = true;
        self
    }
}

/// The folder of a worker: ini file, state, scripts. When the last holder drops it, every process that
/// carries its path is killed and the folder is removed.
pub struct WorkerHome {
    folder: TempDir,
    api_key: String,
    options: WorkerOptions,
    /// Who the worker runs as, if that is not us.
    user: Option<Uid>,
}

impl WorkerHome {
    pub fn new(server: &Server, options: &WorkerOptions) -> Arc<Self> {
        let folder = tempfile::Builder::new().prefix("job-runner-test-").tempdir().expect("a temporary folder");
        let api_key = server.worker_spec(options.worker).api_key.clone();
        let user = (options.unprivileged && Uid::effective().is_root()).then(nobody_else);
        let mut home = Self { folder, api_key, options: options.clone(), user };
        home.give_away(home.path());
        for path in [home.scripts_path(), home.state_path()] {
            fs::DirBuilder::new().mode(0o700).create(&path).expect("a new folder");
            home.give_away(&path);
        }
        if user.is_some() {
            home.bring_binary();
        }
        home.write_ini(&home.ini_for(server));
        Arc::new(home)
    }

    /// Makes a path the worker's own.
    pub fn give_away(&self, path: &Path) {
        if let Some(user) = self.user {
            std::os::unix::fs::chown(path, Some(user.as_raw()), Some(user.as_raw())).expect("root may do that");
        }
    }

    /// The binary may lie where only we can go.
    fn bring_binary(&mut self) {
        let here = self.path().join("job_runner_worker");
        fs::hard_link(&self.options.binary, &here)
            .or_else(|_| fs::copy(&self.options.binary, &here).map(drop))
            .expect("a copy of the binary");
        self.options.binary = here;
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The base: the worker makes a folder named after its key in it.
    pub fn state_path(&self) -> PathBuf {
        self.path().join("state")
    }

    pub fn scripts_path(&self) -> PathBuf {
        self.path().join("scripts")
    }

    pub fn ini_path(&self) -> PathBuf {
        self.path().join("worker.ini")
    }

    /// Everything that the worker wrote to stderr, of all its processes.
    pub fn log_path(&self) -> PathBuf {
        self.path().join("stderr.log")
    }

    /// The worker's own state directory.
    pub fn own_state_path(&self) -> PathBuf {
        self.state_path().join(&self.api_key)
    }

    /// The record of a run, as lines of JSON. Panics if there is none.
    pub fn record(&self, run: i64, attempt: u32) -> Vec<Value> {
        let text = fs::read_to_string(self.record_path(run, attempt)).expect("a record of the run");
        // A record that was another's before has empty lines.
        text.lines()
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_str(line).expect("lines of JSON"))
            .collect()
    }

    pub fn record_path(&self, run: i64, attempt: u32) -> PathBuf {
        self.own_state_path().join("runs").join(format!("{run}.{attempt}.record"))
    }

    /// Files of runs that are still there: records, outputs and scripts.
    pub fn run_files(&self) -> Vec<PathBuf> {
        let folders = [self.own_state_path().join("runs"), self.scripts_path()];
        folders.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten().flatten().map(|e| e.path()).collect()
    }

    /// Waits until no process belongs to this home any more. Panics after 30 s.
    pub async fn wait_deserted(&self) {
        let looking = async {
            // There is nothing to wait on: they are nobody's children, or somebody else's.
            while !self.processes().is_empty() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        if tokio::time::timeout(DEADLINE, looking).await.is_err() {
            panic!("processes {:?} do not end", self.processes());
        }
    }

    /// Processes that belong to this home, supervisors and scripts included.
    pub fn processes(&self) -> Vec<i32> {
        marked_processes(self.path())
    }

    /// Text of an ini file from the server's addresses and the overrides.
    fn ini_for(&self, server: &Server) -> String {
        let worker = server.worker_spec(self.options.worker);
        let own = |key: &str, value: String| (key.to_owned(), value);
        let mut keys = vec![
            own("api_base_url", server.api_base_url()),
            own("api_key", worker.api_key.clone()),
            own("secret", worker.secret.clone()),
            own("ws_server_hostname", "127.0.0.1".to_owned()),
            own("ws_server_port", server.event_intake().port().to_string()),
            own("broadcaster_server_hostname", "127.0.0.1".to_owned()),
            own("broadcaster_server_port", server.broadcaster().port().to_string()),
            own("script_temp_path", self.scripts_path().display().to_string()),
            own("state_path", self.state_path().display().to_string()),
            own("log_level", "debug".to_owned()),
        ];
        for (key, value) in &self.options.ini {
            keys.retain(|(name, _)| name != key);
            keys.extend(value.clone().map(|value| (key.clone(), value)));
        }
        let lines = keys.iter().map(|(key, value)| format!("{key} = {value}\n"));
        format!("[job_runner_worker]\n{}", lines.collect::<String>())
    }

    /// Replaces the ini file.
    pub fn write_ini(&self, text: &str) {
        let path = self.ini_path();
        let _ = fs::remove_file(&path);
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .expect("writing the ini file");
        self.give_away(&self.ini_path());
    }

    /// The binary with the ini file and a clean environment, ready to be started.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.options.binary);
        command.arg("--config-path").arg(self.ini_path()).args(&self.options.args);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("JOB_RUNNER_") {
                command.env_remove(name);
            }
        }
        for name in FOREIGN_VARIABLES {
            command.env_remove(name);
        }
        command.env("FIXTURE_HOME", self.path());
        if let Some(user) = self.user {
            // Where we are, it may not even look.
            command.uid(user.as_raw()).gid(user.as_raw()).current_dir(self.path());
        }
        for (name, value) in &self.options.env {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command
    }

    /// Runs the binary once more with the same ini file and these arguments (`--status`,
    /// `--check-config`), to its end. Panics after 30 s.
    pub async fn ask(&self, arguments: &[&str]) -> std::process::Output {
        let mut command = self.command();
        command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
        let answer = tokio::time::timeout(DEADLINE, command.output()).await;
        answer.unwrap_or_else(|_| panic!("{arguments:?} did not end")).expect("the binary starts")
    }
}

impl Drop for WorkerHome {
    fn drop(&mut self) {
        end_everything_marked(self.path());
    }
}

/// A user that nobody is and that no other test takes. A container may have no more users than these.
fn nobody_else() -> Uid {
    let number = USERS.fetch_add(1, Ordering::Relaxed);
    Uid::from_raw(20_000 + (std::process::id().wrapping_mul(61) + number) % 40_000)
}

/// A running worker, or one that has ended and may be started again.
pub struct WorkerProcess {
    // Before the child: fields are dropped in this order.
    home: Arc<WorkerHome>,
    child: Child,
    output: Arc<Output>,
}

/// What the worker has written to stderr so far.
struct Output {
    text: Mutex<Vec<u8>>,
    grown: watch::Sender<()>,
    /// Whether nobody reads for the time being.
    unread: watch::Sender<bool>,
    /// The pipe of the process that runs now.
    pipe: AtomicI32,
}

/// The smallest pipe that there is, in bytes.
const SMALL_PIPE: libc::c_int = 4096;

impl WorkerProcess {
    /// Starts a worker in a new home. It need not be up yet when this returns.
    pub fn start(server: &Server, options: &WorkerOptions) -> Self {
        Self::start_in(WorkerHome::new(server, options))
    }

    /// Starts a (perhaps second) worker in a home that is there already.
    pub fn start_in(home: Arc<WorkerHome>) -> Self {
        let output = Arc::new(Output {
            text: Mutex::default(),
            grown: watch::Sender::new(()),
            unread: watch::Sender::new(false),
            pipe: AtomicI32::new(-1),
        });
        let child = spawn(&home, &output);
        Self { home, child, output }
    }

    /// Starts the worker again with the same home and the same ini file. If it still runs, it is killed
    /// first; what it supervises is not touched.
    pub async fn restart(&mut self) {
        if self.id().is_some() {
            self.sigkill();
            self.wait_exit().await;
        }
        self.child = spawn(&self.home, &self.output);
    }

    pub fn home(&self) -> &Arc<WorkerHome> {
        &self.home
    }

    /// Leaves what it says to stderr in a pipe of 4 KiB from now on, or reads it again.
    #[allow(unsafe_code)] // fcntl
    pub fn leave_unread(&self, unread: bool) {
        self.output.unread.send_replace(unread);
        let pipe = self.output.pipe.load(Ordering::SeqCst);
        if unread && pipe >= 0 {
            // SAFETY: it changes how much the pipe takes, and nothing in this process; one that is closed is refused.
            unsafe { libc::fcntl(pipe, libc::F_SETPIPE_SZ, SMALL_PIPE) };
        }
    }

    /// Process id; `None` once the exit was waited for.
    pub fn id(&self) -> Option<i32> {
        self.child.id().map(|id| i32::try_from(id).expect("a pid fits"))
    }

    /// Panics if the exit was waited for already.
    pub fn signal(&self, signal: Signal) {
        let id = self.id().expect("the worker runs");
        kill(Pid::from_raw(id), signal).expect("a child can be signalled");
    }

    pub fn sigterm(&self) {
        self.signal(Signal::SIGTERM);
    }

    pub fn sigint(&self) {
        self.signal(Signal::SIGINT);
    }

    pub fn sighup(&self) {
        self.signal(Signal::SIGHUP);
    }

    pub fn sigkill(&self) {
        self.signal(Signal::SIGKILL);
    }

    pub fn sigusr1(&self) {
        self.signal(Signal::SIGUSR1);
    }

    pub fn sigusr2(&self) {
        self.signal(Signal::SIGUSR2);
    }

    pub fn sigstop(&self) {
        self.signal(Signal::SIGSTOP);
    }

    pub fn sigcont(&self) {
        self.signal(Signal::SIGCONT);
    }

    /// Waits for the end of the worker's process, however long it takes.
    pub async fn ended(&mut self) -> ExitStatus {
        self.child.wait().await.expect("a child can be waited for")
    }

    /// Waits for the end of the worker's process. Panics after 30 s.
    pub async fn wait_exit(&mut self) -> ExitStatus {
        self.wait_exit_within(DEADLINE).await
    }

    pub async fn wait_exit_within(&mut self, deadline: Duration) -> ExitStatus {
        match tokio::time::timeout(deadline, self.child.wait()).await {
            Ok(status) => status.expect("a child can be waited for"),
            Err(_) => panic!("the worker did not end within {deadline:?}\n{}", self.tail()),
        }
    }

    /// TERM, and [`WorkerProcess::assert_clean_exit`].
    pub async fn assert_clean_end(&mut self) {
        self.sigterm();
        self.assert_clean_exit().await;
    }

    /// Waits for an exit with 0 that leaves neither files of runs nor processes.
    pub async fn assert_clean_exit(&mut self) {
        let status = self.wait_exit().await;
        assert_eq!(status.code(), Some(0), "{status}\n{}", self.tail());
        assert_eq!(self.home.run_files(), Vec::<PathBuf>::new());
        self.home.wait_deserted().await;
    }

    /// TERM, and the exit code; -1 for a death by signal.
    pub async fn stop(&mut self) -> i32 {
        self.sigterm();
        self.wait_exit().await.code().unwrap_or(-1)
    }

    /// Whether the process is there; notices an end without waiting for it.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// What it wrote to stderr so far, over all restarts.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&self.output.text.lock().unwrap()).into_owned()
    }

    /// Waits until its log contains this. Panics after 30 s.
    pub async fn wait_log(&self, text: &str) {
        self.wait_log_times(text, 1).await;
    }

    /// Waits until the worker has said something this often.
    pub async fn wait_log_times(&self, text: &str, times: usize) {
        let mut growth = self.output.grown.subscribe();
        let looking = async {
            loop {
                growth.borrow_and_update();
                if self.log().matches(text).count() >= times {
                    return;
                }
                growth.changed().await.expect("we hold the sender");
            }
        };
        if tokio::time::timeout(DEADLINE, looking).await.is_err() {
            panic!("the worker never said {text:?}\n{}", self.tail());
        }
    }

    fn tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(DUMPED_LINES)..].join("\n")
    }
}

impl Drop for WorkerProcess {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the worker's last words ---\n{}", self.tail());
        }
        // The last holder of the home leaves this to the home: a child whose parent is gone already
        // could not be told from anybody else's.
        if Arc::strong_count(&self.home) > 1 && self.is_running() {
            let _ = self.child.start_kill();
        }
    }
}

fn spawn(home: &WorkerHome, output: &Arc<Output>) -> Child {
    let mut child = home
        .command()
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("the worker's binary starts");
    let stderr = child.stderr.take().expect("stderr is piped");
    output.pipe.store(stderr.as_raw_fd(), Ordering::SeqCst);
    // Made here, not by the task: that may begin when the folder is being removed, and keep it from going.
    let file = OpenOptions::new().append(true).create(true).open(home.log_path()).ok();
    tokio::spawn(collect(stderr, output.clone(), file, home.options.echo));
    child
}

async fn collect(mut from: impl AsyncRead + Unpin, output: Arc<Output>, mut file: Option<fs::File>, echo: bool) {
    let mut buffer = vec![0; 1 << 16];
    let mut unread = output.unread.subscribe();
    while unread.wait_for(|unread| !*unread).await.is_ok()
        && let Ok(length @ 1..) = from.read(&mut buffer).await
    {
        let bytes = &buffer[..length];
        output.text.lock().unwrap().extend_from_slice(bytes);
        output.grown.send_replace(());
        if let Some(file) = &mut file {
            let _ = file.write_all(bytes);
        }
        if echo {
            let _ = std::io::stderr().write_all(bytes);
        }
    }
}
