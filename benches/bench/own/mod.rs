//! Our own server as a process, with data that was there before it: who works, what is due, what was.

mod light;
mod listener;
mod moved;
mod seed;

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rusqlite::{Connection, Row};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use super::failure::Failure;
use super::moment::{self, Moment};
use super::own_postgres::Postgres;
use super::process_sweep::end_everything_marked;
use super::sqlite::connect_read_only;
use super::worker::{Make, Worker};
pub use light::{Crowd, Seen};
pub use listener::Listener;
use moved::Moved;
pub use seed::{Data, Due, Engine, Jobs, LOGS_FROM, SECRET, key};

/// How long a server may take to be there.
const PATIENCE: Duration = Duration::from_secs(60);

/// How late the first claim may be: later, the workers were not there in time. In microseconds.
const LATE: u64 = 1_000_000;

/// The server. When it is dropped, it is gone.
pub struct Own {
    pub http: SocketAddr,
    /// Where Flamenco workers are served, if they are.
    pub farm: Option<SocketAddr>,
    /// Where orders go out over ZeroMQ.
    pub broadcaster: SocketAddr,
    /// Where events of workers come in over ZeroMQ.
    pub events: SocketAddr,
    pub pid: i32,
    /// When its process was started.
    pub started: Moment,
    /// When each lot of runs begins to be due.
    pub due: Vec<Moment>,
    onlookers: u16,
    folder: TempDir,
    _child: Child,
    /// Database and further servers at it, where the data is in no file.
    moved: Option<Moved>,
}

/// A server that serves.
struct ServerProcess {
    http: SocketAddr,
    broadcaster: SocketAddr,
    events: SocketAddr,
    onlookers: u16,
    pid: i32,
    started: Moment,
    child: Child,
}

/// A run that is over, as the server knows it.
#[derive(Clone, Debug)]
pub struct Ran {
    pub due: i64,
    pub success: Option<i64>,
    pub attempt: i64,
    pub losses: i64,
    /// How its log begins.
    pub log: String,
}

impl Own {
    /// Starts it with this data, and waits until it serves.
    pub async fn start(program: &Path, data: &Data) -> Result<Self, Failure> {
        let folder = TempDir::with_prefix("job-runner-bench-own-")?;
        let place = folder.path().join("data");
        let postgres = match data.engine {
            Engine::Sqlite => None,
            Engine::Postgres { .. } => Some(Postgres::begin().await.map_err(Failure)?),
        };
        let due = seed::fill(&place, data).await?;
        if let Some(postgres) = &postgres {
            moved::migrate(program, &place, postgres).await?;
        }
        let url = postgres.as_ref().map(Postgres::url);
        let farm = data.farm.then(free_address).transpose()?;
        let process =
            ServerProcess::start(program, folder.path(), "data", url.as_deref(), data.descriptors, farm).await?;
        let moved = match (postgres, data.engine) {
            (Some(postgres), Engine::Postgres { servers }) => {
                Some(Moved::start(program, folder.path(), postgres, servers - 1).await?)
            }
            _ => None,
        };
        let ServerProcess { http, broadcaster, events, onlookers, pid, started, child } = process;
        Ok(Self { http, farm, broadcaster, events, pid, started, due, onlookers, folder, _child: child, moved })
    }

    /// Reads the operator's token, which the server has made.
    pub fn token(&self) -> Result<String, Failure> {
        Ok(fs::read_to_string(self.folder.path().join("data").join("operator.token"))?.trim().to_owned())
    }

    /// When the first run is due.
    pub fn first_due(&self) -> Moment {
        self.due.first().copied().unwrap_or(0)
    }

    /// Hears what happens from now on.
    pub async fn listen(&self) -> Result<Listener, Failure> {
        Listener::connect(self.onlookers).await
    }

    /// Hires one of our workers, who connects out to it; the first is 1.
    pub async fn hire(&self, make: &Make, number: usize, seats: usize) -> Result<Worker, Failure> {
        // Nobody is at these ports: all that such a worker needs is the one of HTTP.
        let nowhere = free_port()?.to_string();
        let http = self.moved.as_ref().and_then(|moved| moved.server_of(number)).unwrap_or(self.http);
        let settings = [
            ("api_base_url", format!("http://{http}/")),
            ("api_key", key(number)),
            ("secret", SECRET.to_owned()),
            ("concurrent_jobs", seats.to_string()),
            ("ws_url", format!("ws://{http}/worker")),
            ("ws_server_hostname", "127.0.0.1".to_owned()),
            ("ws_server_port", nowhere.clone()),
            ("broadcaster_server_hostname", "127.0.0.1".to_owned()),
            ("broadcaster_server_port", nowhere),
        ];
        Worker::start(make, &settings, async |_| Ok(())).await
    }

    /// The runs that were to come and are over, in the order in which they were due.
    fn ran(&self) -> Result<Vec<Ran>, Failure> {
        if let Some(moved) = &self.moved {
            return moved.ran(self.first_due());
        }
        type Columns = (i64, Option<i64>, i64, i64, Option<Vec<u8>>);
        let query = "SELECT schedule_dts, return_success, attempt, losses,
                 (SELECT data FROM log_chunk JOIN run_log ON run_log.id = log WHERE run_log.run = run.id ORDER BY start LIMIT 1)
             FROM run WHERE schedule_dts >= ? AND return_dts IS NOT NULL ORDER BY schedule_dts, id";
        let ran = |(due, success, attempt, losses, log): Columns| {
            let log = log.map(|log| String::from_utf8_lossy(&log).into_owned()).unwrap_or_default();
            Ran { due, success, attempt, losses, log }
        };
        Ok(self.since_first_due(query)?.into_iter().map(ran).collect())
    }

    /// Checks that so many runs were executed once each, and well.
    pub fn judge(&self, count: usize) -> Result<Vec<Ran>, Failure> {
        let ran = self.ran()?;
        let late = self.count("SELECT count(*) FROM late_result")?;
        let is_sound = |run: &&Ran| run.success == Some(1) && run.attempt == 1 && run.losses == 0;
        let sound = ran.iter().filter(is_sound).count();
        let why =
            || format!("{sound} of {count} runs are as they should be, {late} results came late{}", self.last_words());
        Failure::unless(sound == count && ran.len() == count && late == 0, why)?;
        Ok(ran)
    }

    /// Counts due times that came and for which nothing was executed.
    pub fn missed(&self) -> Result<i64, Failure> {
        self.count("SELECT count(*) FROM fire WHERE what IN ('missed', 'skipped')")
    }

    /// Checks that every worker was there in time.
    pub fn was_ready(&self) -> Result<(), Failure> {
        let absent = self.count("SELECT count(*) FROM worker WHERE worker_version IS NULL")?;
        let first = self.first_due();
        let begun =
            self.count(&format!("SELECT coalesce(min(enqueue_dts), 0) FROM run WHERE schedule_dts >= {first}"))?;
        let begun = u64::try_from(begun).unwrap_or(0);
        let is_ready = absent == 0 && begun < self.first_due() + LATE;
        Failure::unless(is_ready, || format!("{absent} workers were not there when the first run was due"))
    }

    /// The runs that were to come, and when each was due.
    pub fn due_times(&self) -> Result<Vec<(i64, Moment)>, Failure> {
        let query = "SELECT id, schedule_dts FROM run WHERE schedule_dts >= ? AND is_manual";
        let found: Vec<(i64, i64)> = self.since_first_due(query)?;
        Ok(found.into_iter().filter_map(|(run, due)| Some((run, due.try_into().ok()?))).collect())
    }

    /// The rows of an answer about the runs that are due from the first one on.
    fn since_first_due<T>(&self, question: &str) -> Result<Vec<T>, Failure>
    where
        T: for<'r> TryFrom<&'r Row<'r>, Error = rusqlite::Error>,
    {
        let first = i64::try_from(self.first_due())?;
        let rows = self
            .connect()?
            .prepare(question)?
            .query_map([first], |row| row.try_into())?
            .collect::<rusqlite::Result<_>>()?;
        Ok(rows)
    }

    /// The one number of an answer.
    fn count(&self, question: &str) -> Result<i64, Failure> {
        match &self.moved {
            Some(moved) => moved.count(question),
            None => Ok(self.connect()?.query_row(question, (), |row| row.get(0))?),
        }
    }

    fn connect(&self) -> Result<Connection, Failure> {
        Ok(connect_read_only(&seed::file(&self.folder.path().join("data")))?)
    }

    fn last_words(&self) -> String {
        let log = fs::read_to_string(log_of(self.folder.path(), "data")).unwrap_or_default();
        if log.is_empty() { log } else { format!(":\n{log}") }
    }
}

impl ServerProcess {
    /// Starts a server with a directory of data in a folder, and waits until it serves. Its rows are there, or in a database.
    async fn start(
        program: &Path,
        folder: &Path,
        place: &str,
        database: Option<&str>,
        descriptors: Option<u32>,
        farm: Option<SocketAddr>,
    ) -> Result<Self, Failure> {
        let onlookers = free_port()?;
        let (http, broadcaster, events) = (free_address()?, free_address()?, free_address()?);
        let ini = format!(
            "[job_runner]\ndata_path = {}\nlisten = {http}\nbroadcaster_listen = {broadcaster}\nevents_listen = {events}\n\
             websocket_listen = 127.0.0.1:{onlookers}\nlog_level = warning\ndatabase = {}\nflamenco_listen = {}\n",
            folder.join(place).display(),
            database.unwrap_or("sqlite"),
            farm.map_or_else(|| "none".to_owned(), |at| at.to_string()),
        );
        let path = folder.join(format!("{place}.ini"));
        fs::write(&path, ini)?;
        let log_file = log_of(folder, place);
        let log = fs::File::create(&log_file)?;
        let mut command = match descriptors {
            None => Command::new(program),
            Some(descriptors) => {
                let mut shell = Command::new("sh");
                shell.arg("-c").arg(format!("ulimit -n {descriptors}; exec \"$0\" \"$@\"")).arg(program);
                shell
            }
        };
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("JOB_RUNNER_") {
                command.env_remove(&name);
            }
        }
        command.args(["serve", "--config"]).arg(&path).env("BENCH_FOLDER", folder);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).kill_on_drop(true);
        let started = moment::now();
        let child = command.spawn()?;
        let pid = child.id().and_then(|pid| pid.try_into().ok()).ok_or_else(|| Failure("no server".to_owned()))?;
        let process = Self { http, broadcaster, events, onlookers, pid, started, child };
        match tokio::time::timeout(PATIENCE, process.serves()).await {
            Ok(()) => Ok(process),
            Err(_) => {
                let said = fs::read_to_string(log_file).unwrap_or_default();
                Err(Failure(format!("the server does not serve:\n{said}")))
            }
        }
    }

    async fn serves(&self) {
        // It says so in its log, which nobody can wait for.
        let mut again = tokio::time::interval(Duration::from_millis(10));
        for at in [self.http, SocketAddr::from(([127, 0, 0, 1], self.onlookers))] {
            while TcpStream::connect(at).await.is_err() {
                again.tick().await;
            }
        }
    }
}

/// The file with what a server says.
fn log_of(folder: &Path, place: &str) -> PathBuf {
    folder.join(format!("{place}.log"))
}

impl Drop for Own {
    fn drop(&mut self) {
        end_everything_marked(self.folder.path());
    }
}

/// A port that nobody listened on a moment ago.
fn free_port() -> Result<u16, Failure> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// An address of this machine at such a port.
fn free_address() -> Result<SocketAddr, Failure> {
    Ok(SocketAddr::from(([127, 0, 0, 1], free_port()?)))
}
