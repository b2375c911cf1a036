//! The command as a user starts it, in a directory of its own.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};

/// Nothing in these tests takes this long.
const PATIENCE: Duration = Duration::from_secs(60);
pub const JOB_RUNNER: &str = env!("CARGO_BIN_EXE_job_runner");

/// A directory to work in: the data of a standalone server, scripts, and temporary files.
pub struct Place(TempDir);

/// What a command that is through has left.
#[derive(Debug)]
pub struct Done {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Done {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }
}

impl Place {
    pub fn new() -> Self {
        let place = Self(tempfile::tempdir().expect("a folder"));
        std::fs::create_dir(place.path().join("tmp")).expect("a folder");
        place
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// A script of that name.
    pub fn script(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        std::fs::write(&path, text).expect("a script");
        path
    }

    pub fn command(&self, args: &[&str]) -> Command {
        self.command_by(JOB_RUNNER, args)
    }

    pub fn command_by(&self, program: &str, args: &[&str]) -> Command {
        // Whoever runs the tests in the background has them started with some signals ignored.
        let mut command = Command::new("env");
        command.args(["--default-signal=INT,HUP,QUIT,TERM", program]);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("JOB_RUNNER_") {
                command.env_remove(name);
            }
        }
        command.args(args).current_dir(self.path()).env("TMPDIR", self.path().join("tmp")).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs a command to its end.
    pub async fn run(&self, args: &[&str]) -> Done {
        finish(self.command(args).spawn().expect("the command")).await
    }

    /// Runs another program in this directory to its end.
    pub async fn run_by(&self, program: &str, args: &[&str]) -> Done {
        finish(self.command_by(program, args).spawn().expect("the program")).await
    }

    /// Starts a command that lasts.
    pub fn start(&self, args: &[&str]) -> Lasting {
        self.start_by(JOB_RUNNER, args)
    }

    /// Starts another program in this directory, which becomes a command that lasts.
    pub fn start_by(&self, program: &str, args: &[&str]) -> Lasting {
        let mut child = self.command_by(program, args).spawn().expect("the command");
        let out = BufReader::new(child.stdout.take().expect("its output"));
        Lasting { child, out }
    }

    /// What is left of commands that are through.
    pub fn temporary_files(&self) -> Vec<PathBuf> {
        let found = std::fs::read_dir(self.path().join("tmp")).expect("a folder");
        found.map(|entry| entry.expect("an entry").path()).collect()
    }

    /// Starts `standalone`, and waits until it says where it is: its address with the token.
    pub async fn standalone(&self) -> (Lasting, String) {
        let mut standalone = self.start(&["standalone", "--listen", "127.0.0.1:0"]);
        let login = standalone.line_with("/login?token=").await;
        (standalone, login)
    }
}

/// A command that goes on.
pub struct Lasting {
    child: Child,
    out: BufReader<tokio::process::ChildStdout>,
}

impl Lasting {
    /// The next line with this in it, without the blanks around it.
    pub async fn line_with(&mut self, what: &str) -> String {
        let find = async {
            let mut line = String::new();
            while self.out.read_line(&mut line).await.expect("its output") > 0 {
                if line.contains(what) {
                    return line.trim().to_owned();
                }
                line.clear();
            }
            let mut err = String::new();
            let mut stderr = self.child.stderr.take().expect("its complaints");
            stderr.read_to_string(&mut err).await.expect("text");
            panic!("it ended without {what}: {err}")
        };
        tokio::time::timeout(PATIENCE, find).await.unwrap_or_else(|_| panic!("never said {what}"))
    }

    /// The next line with its end; nothing where there is none any more.
    pub async fn next_line(&mut self) -> String {
        let mut line = String::new();
        let read = tokio::time::timeout(PATIENCE, self.out.read_line(&mut line)).await;
        read.expect("a line in time").expect("its output");
        line
    }

    pub fn id(&self) -> u32 {
        self.child.id().expect("it goes on")
    }

    /// Whether it has ended by itself.
    pub fn is_over(&mut self) -> bool {
        self.child.try_wait().expect("a child").is_some()
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.id()).expect("a pid")), signal).expect("it goes on");
    }

    /// Waits for its end; what it said on the way to it.
    pub async fn end(mut self) -> Done {
        let mut out = String::new();
        let code =
            async { tokio::join!(rest(&mut self.out, &mut out), self.child.wait_with_output()).1.expect("an end") };
        let output = tokio::time::timeout(PATIENCE, code).await.expect("an end in time");
        Done { code: code_of(output.status), out, err: String::from_utf8(output.stderr).expect("text") }
    }
}

async fn rest(from: &mut (impl AsyncRead + Unpin), into: &mut String) {
    from.read_to_string(into).await.expect("text");
}

/// Waits for the end of a command.
pub async fn finish(child: Child) -> Done {
    let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await.expect("an end in time");
    let output = output.expect("an end");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    Done { code: code_of(output.status), out: text(output.stdout), err: text(output.stderr) }
}

fn code_of(status: ExitStatus) -> i32 {
    status.code().unwrap_or(-1)
}
