//! A PostgreSQL of the program's own, which can be stopped and killed. What it has committed is on disk, as by default.

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::prctl;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, User, geteuid};

use super::ports::free_port;
use super::process_sweep::end_everything_marked;

/// Where Debian has its programs, beside `PATH`.
const DEBIAN: &str = "/usr/lib/postgresql";
/// User and database.
const NAME: &str = "job_runner";
/// Who it works as where the program is root, as which it refuses to work.
const NOBODY: &str = "nobody";
/// Pause between two looks at whether it has begun, or ended.
const LOOK: Duration = Duration::from_millis(20);
/// How long it may take to begin, and to stop.
const PATIENCE: Duration = Duration::from_secs(60);

/// It ends when it is dropped, and with the program.
pub struct Postgres {
    folder: tempfile::TempDir,
    programs: PathBuf,
    port: u16,
    child: Option<Child>,
}

impl Postgres {
    /// Begins one with an empty database.
    ///
    /// # Errors
    /// If it is not installed, or does not begin: why not.
    pub async fn begin() -> Result<Self, String> {
        let programs = programs().ok_or("no PostgreSQL is installed (Debian: postgresql)")?;
        let folder = tempfile::TempDir::with_prefix("job-runner-postgres-").map_err(|e| e.to_string())?;
        if let Some(user) = other_user() {
            chown(folder.path(), Some(user.uid.as_raw()), Some(user.gid.as_raw())).map_err(|e| e.to_string())?;
            // The folder is open to that user alone; those above it must let it through.
            fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).map_err(|e| e.to_string())?;
        }
        let mut postgres = Self { folder, programs, port: free_port(), child: None };
        let mut initdb = postgres.command("initdb");
        initdb.args(["--username", NAME, "--auth", "trust", "--encoding", "UTF8", "--locale", "C", "--no-sync", "-D"]);
        run(initdb.arg(postgres.data()))?;
        postgres.start().await?;
        run(postgres.psql("postgres").args(["-c", &format!("CREATE DATABASE {NAME}")]))?;
        Ok(postgres)
    }

    /// How a server is told of it.
    pub fn url(&self) -> String {
        format!("postgres://{NAME}@127.0.0.1:{}/{NAME}?sslmode=disable", self.port)
    }

    /// Starts it, and waits until it accepts connections.
    pub async fn start(&mut self) -> Result<(), String> {
        let log = File::options().create(true).append(true).open(self.log());
        let log = log.map_err(|e| e.to_string())?;
        let mut command = self.command("postgres");
        command.arg("-D").arg(self.data()).args(["-p", &self.port.to_string(), "-h", "127.0.0.1", "-k", ""]);
        command.stdout(log.try_clone().map_err(|e| e.to_string())?).stderr(log);
        self.child = Some(command.spawn().map_err(|e| format!("postgres does not start: {e}"))?);
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            if self.ask("SELECT 1").is_some() {
                return Ok(());
            }
            tokio::time::sleep(LOOK).await;
        }
        Err(format!("postgres does not begin; see {}", self.log().display()))
    }

    /// Has it break off all transactions and leave in order: its fast shutdown. Whether it did.
    pub async fn stop(&mut self) -> bool {
        let Some(mut child) = self.child.take() else { return true };
        let _ = kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGINT);
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            if child.try_wait().is_ok_and(|ended| ended.is_some()) {
                return true;
            }
            tokio::time::sleep(LOOK).await;
        }
        self.child = Some(child);
        self.kill();
        false
    }

    /// Kills all its processes.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            end_everything_marked(self.folder.path());
            let _ = child.wait();
        }
    }

    /// The rows of an answer as text; `None` where there is none.
    pub fn ask(&self, question: &str) -> Option<Vec<Vec<Option<String>>>> {
        // A database that is not made yet is asked for by nobody.
        let name = if question == "SELECT 1" { "postgres" } else { NAME };
        let output = self.psql(name).args(["-c", question]).output().ok()?;
        if !output.status.success() {
            return None;
        }
        let cell = |cell: &str| (cell != NULL).then(|| cell.to_owned());
        let text = String::from_utf8_lossy(&output.stdout);
        Some(text.lines().map(|line| line.split(SEPARATOR).map(cell).collect()).collect())
    }

    /// Where it says what happens to it.
    pub fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// Leaves its folder behind; answers where it is.
    pub fn keep(&mut self) -> &Path {
        self.folder.disable_cleanup(true);
        self.folder.path()
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn psql(&self, database: &str) -> Command {
        let mut psql = Command::new(self.programs.join("psql"));
        psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-P", &format!("null={NULL}")]);
        psql.args(["-F", SEPARATOR, "-h", "127.0.0.1", "-p", &self.port.to_string(), "-U", NAME, "-d", database]);
        psql.env("PGCONNECT_TIMEOUT", "5").stdin(Stdio::null()).stderr(Stdio::piped());
        psql
    }

    /// A program that works as another user where this one is root, and that ends with this one.
    #[allow(unsafe_code)] // pre_exec
    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(self.programs.join(name));
        command.env_clear().env("PATH", "/usr/bin:/bin").env("LC_ALL", "C").current_dir("/").stdin(Stdio::null());
        if let Some(user) = other_user() {
            command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
        }
        // SAFETY: one system call, between fork and exec, that changes nothing but the child.
        unsafe { command.pre_exec(|| Ok(prctl::set_pdeathsig(Signal::SIGQUIT)?)) };
        command
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Between the cells of a row, and for a cell that is null.
const SEPARATOR: &str = "\u{1f}";
const NULL: &str = "\u{1e}";

/// The user that it works as, where the campaign is root.
fn other_user() -> Option<User> {
    if geteuid().is_root() { User::from_name(NOBODY).ok().flatten() } else { None }
}

/// The folder with its programs, of the latest version.
fn programs() -> Option<PathBuf> {
    let mut versions: Vec<(u32, PathBuf)> = fs::read_dir(DEBIAN)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .collect();
    versions.sort();
    let on_path = std::env::var_os("PATH").unwrap_or_default();
    let folders = versions.into_iter().rev().map(|(_, folder)| folder).chain(std::env::split_paths(&on_path));
    folders.into_iter().find(|folder| ["initdb", "postgres", "psql"].iter().all(|name| folder.join(name).exists()))
}

/// Runs a program to its end.
fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|e| format!("{}: {e}", command.get_program().display()))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{} failed: {}", command.get_program().display(), String::from_utf8_lossy(&output.stderr).trim()))
}
