//! Databases of PostgreSQL for tests: one server for the process, of the programs that Debian's package brings, and a fresh
//! database on it for each test. The server ends with the process, however that ends, and leaves nothing behind.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use tempfile::TempDir;
use tokio_postgres::{Config, NoTls, SimpleQueryMessage};

use super::skip::skip;

/// Longest wait for the server to accept connections.
const DEADLINE: Duration = Duration::from_secs(60);
/// User and group as which the server runs where the tests run as root, which it refuses: nobody.
const NOBODY: u32 = 65_534;
const USER: &str = "postgres";
/// Starts the server, and ends it by the signal that is read; without one, because who started it is gone, its folder goes
/// with it.
const KEEPER: &str = r#"
    folder=$1; shift
    "$@" & server=$!
    signal=; read -r signal
    kill "-${signal:-QUIT}" "$server"; wait "$server"
    [ -n "$signal" ] || rm -rf "$folder"
"#;
/// Nothing of a test outlives its process, so nothing needs to reach the disk.
const SETTINGS: &[&str] = &[
    "listen_addresses=",
    "fsync=off",
    "full_page_writes=off",
    "wal_level=minimal",
    "max_wal_senders=0",
    "max_connections=500",
    "shared_buffers=64MB",
    "autovacuum=off",
    "log_min_messages=log",
    "max_wal_size=1GB",
];

/// A database that only its test uses. Dropped, it is gone.
pub struct TestDatabase {
    server: Arc<TestPostgres>,
    name: String,
    url: String,
}

impl TestDatabase {
    /// Creates a database; `None`, and a word of it, where PostgreSQL is not installed.
    ///
    /// # Panics
    /// If it is not installed, and nothing may be left out.
    pub fn fresh() -> Option<Self> {
        static SERVER: OnceLock<Option<Arc<TestPostgres>>> = OnceLock::new();
        let server = SERVER.get_or_init(TestPostgres::start).clone();
        if server.is_none() {
            assert!(std::env::var_os("JOB_RUNNER_REQUIRE_INTEROP").is_none(), "PostgreSQL is not installed");
            skip("no PostgreSQL");
        }
        Some(server?.database())
    }

    /// Returns the URL for a client.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns the path of the socket on which the server listens.
    pub fn socket(&self) -> PathBuf {
        self.server.folder.join(".s.PGSQL.5432")
    }

    /// Executes statements; returns the first column of each row.
    pub fn ask(&self, sql: &str) -> Vec<String> {
        self.server.ask(&self.name, sql)
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        if self.server.is_running() {
            self.server.ask(USER, &format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name));
        }
    }
}

/// A server of PostgreSQL.
pub struct TestPostgres {
    programs: PathBuf,
    folder: PathBuf,
    keeper: Mutex<Option<Keeper>>,
}

struct Keeper {
    child: Child,
    signals: ChildStdin,
}

impl TestPostgres {
    /// Starts a server; `None` where it is not installed.
    pub fn start() -> Option<Arc<Self>> {
        let programs = programs()?;
        // A short path, as that of a socket must be.
        let folder = tempfile::Builder::new().prefix("job-runner-pg-").tempdir_in("/tmp").unwrap();
        if is_root() {
            std::os::unix::fs::chown(folder.path(), Some(NOBODY), Some(NOBODY)).unwrap();
        }
        let folder = TempDir::keep(folder);
        let server = Self { programs, folder, keeper: Mutex::new(None) };
        let data = server.data();
        let initdb = ["--username", USER, "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", "--pgdata"];
        let made = server.command(&server.programs.join("initdb")).args(initdb).arg(data).output().unwrap();
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        server.run();
        Some(Arc::new(server))
    }

    /// Creates a database.
    pub fn database(self: &Arc<Self>) -> TestDatabase {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        self.ask(USER, &format!("CREATE DATABASE {name} TEMPLATE template0"));
        let socket = self.folder.display().to_string().replace('/', "%2F");
        let url = format!("postgres://{USER}@{socket}/{name}");
        TestDatabase { server: Arc::clone(self), name, url }
    }

    /// Starts the server after it was stopped.
    ///
    /// # Panics
    /// If it does not accept connections in time.
    pub fn run(&self) {
        let mut command = self.command(Path::new("sh"));
        command.args(["-c", KEEPER, "keeper"]).arg(&self.folder).arg(self.programs.join("postgres"));
        command.arg("-D").arg(self.data()).arg("-k").arg(&self.folder);
        for setting in SETTINGS {
            command.args(["-c", setting]);
        }
        // A signal to the group of the tests would end the keeper before it has cleaned up.
        let command = command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let signals = child.stdin.take().unwrap();
        let log = child.stderr.take().unwrap();
        *self.keeper.lock().unwrap() = Some(Keeper { child, signals });
        wait_until_ready(log);
    }

    /// Stops the server by a signal: `INT` ends all transactions, `QUIT` is as if it were killed.
    pub fn stop(&self, signal: &str) {
        let Some(mut keeper) = self.keeper.lock().unwrap().take() else { return };
        writeln!(keeper.signals, "{signal}").unwrap();
        keeper.child.wait().unwrap();
    }

    fn is_running(&self) -> bool {
        self.keeper.lock().unwrap().is_some()
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// A program that the server's user runs, in a folder that it may enter.
    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.folder).env("LC_ALL", "C");
        if is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    }

    /// Executes statements in a database, on a thread of its own, since a test may be a task.
    fn ask(&self, database: &str, sql: &str) -> Vec<String> {
        let mut config = Config::new();
        config.host_path(&self.folder).user(USER).dbname(database);
        std::thread::scope(|scope| {
            let asking = scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(async {
                    let (client, connection) = config.connect(NoTls).await.unwrap();
                    tokio::spawn(connection);
                    client.simple_query(sql).await.unwrap_or_else(|e| panic!("{sql}: {e:?}"))
                })
            });
            let messages = asking.join().unwrap();
            let rows = messages.iter().filter_map(|message| match message {
                SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap_or("NULL").to_owned()),
                _ => None,
            });
            rows.collect()
        })
    }
}

impl Drop for TestPostgres {
    fn drop(&mut self) {
        // Without a signal, so that the folder goes, too.
        match self.keeper.get_mut().unwrap().take() {
            Some(Keeper { mut child, signals }) => {
                drop(signals);
                let _ = child.wait();
            }
            None => drop(fs::remove_dir_all(&self.folder)),
        }
    }
}

/// Reads the server's log until it accepts connections, and leaves the rest to a thread.
fn wait_until_ready(log: ChildStderr) {
    let (ready, is_ready) = mpsc::sync_channel(1);
    std::thread::spawn(move || {
        let mut lines = Vec::new();
        for line in BufReader::new(log).lines().map_while(Result::ok) {
            if line.contains("ready to accept connections") {
                let _ = ready.try_send(());
                lines.clear();
            }
            // What is said later is read, so that nobody waits for room in the pipe.
            if lines.len() < 100 {
                lines.push(line);
            }
        }
        lines
    });
    is_ready.recv_timeout(DEADLINE).expect("PostgreSQL accepts connections");
}

/// Finds the latest version that is installed.
fn programs() -> Option<PathBuf> {
    let version = |path: &PathBuf| {
        path.parent().and_then(Path::file_name).and_then(|name| name.to_str()?.parse::<u32>().ok()).unwrap_or_default()
    };
    let installed = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let installed = installed.map(|entry| entry.path().join("bin")).filter(|path| path.join("initdb").exists());
    installed.max_by_key(version).or_else(|| {
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path).find(|folder| folder.join("initdb").exists() && folder.join("postgres").exists())
    })
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0)
}
