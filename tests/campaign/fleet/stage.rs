//! The servers, their database, the forwarder before them, and their workers.

use crate::support::own_postgres::Postgres;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::json;

use super::database::Database;
use super::forwarder::Forwarder;
use crate::arguments::{Arguments, Engine};
use crate::server::stage::{LOOK, Lives, Operator, Place, Time, files_of_runs};

/// How many workers.
const WORKERS: usize = 8;
/// How many runs each executes at once.
const SLOTS: usize = 4;
/// How long everybody has to begin, and to leave when asked to.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long after a server ended by itself it is started again, as a service manager does.
const RESTART: Duration = Duration::from_millis(500);
/// The token of the operator at all servers.
const TOKEN: &str = "the-operator-of-a-campaign";
/// Where nobody listens: the workers have one way out.
const NOWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 1);

/// One of the servers.
pub struct Server {
    pub lives: Lives,
    pub http: SocketAddr,
    /// Whether it was killed, and not started since.
    pub is_killed: bool,
    /// When it may be started again.
    next_life: Option<Instant>,
}

/// Everybody.
pub struct Stage {
    pub folder: PathBuf,
    pub database: Database,
    pub servers: Vec<Server>,
    pub operator: Operator,
    workers: Vec<Lives>,
    _forwarder: Forwarder,
    /// How much memory a server held at most, in KiB.
    pub largest: u64,
}

impl Stage {
    /// All begin: the servers at the same moment.
    ///
    /// # Errors
    /// If the database does not begin: why not.
    pub async fn begin(arguments: &Arguments, folder: &Path) -> Result<Self, String> {
        let database = match arguments.fleet.engine {
            Engine::Sqlite => Database::Sqlite(folder.join("data0").join("job_runner.sqlite")),
            Engine::Postgres => Database::Postgres(Postgres::begin().await?),
        };
        let places: Vec<Place> = (0..arguments.fleet.servers).map(|_| Place::free()).collect();
        let begin = |(number, place): (usize, &Place)| {
            let name = format!("server{number}");
            let data = folder.join(format!("data{number}"));
            give_token(&data);
            place.configure(&folder.join(format!("{name}.ini")), &data, &database.setting());
            let lives = Lives::server(&name, &arguments.fleet.program, folder, Time::Wrong(0));
            Server { lives, http: place.http, is_killed: false, next_life: None }
        };
        let servers: Vec<Server> = places.iter().enumerate().map(begin).collect();
        for server in &servers {
            ready(server.http).await?;
        }
        let forwarder = Forwarder::begin(places.iter().map(|place| place.http).collect()).await;
        let operator = Operator { to: forwarder.address, token: TOKEN.to_owned() };
        let place = Place { http: forwarder.address, broadcaster: NOWHERE, events: NOWHERE };
        let uplink = [("ws_url", place.uplink())];
        let mut workers = Vec::new();
        for number in 0..WORKERS {
            let key = format!("worker{number}");
            let made = operator.insist("/operator/v1/workers", &json!({"title": key})).await;
            let secret = made.as_ref().and_then(|made| made["secret"].as_str()).ok_or("a worker is refused")?;
            place.configure_worker(folder, &key, secret, SLOTS, &uplink);
            workers.push(Lives::worker(&arguments.worker, folder, &key, 0));
        }
        Ok(Self { folder: folder.to_owned(), database, servers, operator, workers, _forwarder: forwarder, largest: 0 })
    }

    /// Which server dispatches; `None` if that cannot be known.
    pub fn dispatcher(&self) -> Option<usize> {
        match &self.database {
            Database::Sqlite(_) => Some(0),
            Database::Postgres(_) => {
                let address = self.database.dispatcher()?;
                self.servers.iter().position(|server| server.http.to_string() == address)
            }
        }
    }

    /// Starts again whoever is gone; answers which servers ended by themselves.
    pub fn revive(&mut self) -> Vec<usize> {
        let mut ended = Vec::new();
        for (number, server) in self.servers.iter_mut().enumerate() {
            self.largest = self.largest.max(server.lives.resident_kib().unwrap_or(0));
            if server.lives.ended().is_none() {
                continue;
            }
            let now = Instant::now();
            if !server.is_killed && server.next_life.is_none() {
                ended.push(number);
                server.next_life = Some(now + RESTART);
            }
            if server.next_life.is_none_or(|at| at <= now) {
                server.lives.again(Time::Wrong(0));
                (server.is_killed, server.next_life) = (false, None);
            }
        }
        ended
    }

    /// Workers that ended by themselves, in words.
    pub fn dead_workers(&mut self) -> Vec<String> {
        let workers = self.workers.iter_mut().enumerate();
        workers.filter_map(|(number, worker)| Some(format!("worker{number} ended: {}", worker.ended()?))).collect()
    }

    /// Everybody leaves; answers what is left of them.
    pub async fn leave(&mut self) -> Vec<String> {
        let mut leaked = Vec::new();
        let servers =
            self.servers.iter_mut().enumerate().map(|(nth, server)| (format!("server{nth}"), &mut server.lives));
        let workers = self.workers.iter_mut().enumerate().map(|(nth, worker)| (format!("worker{nth}"), worker));
        for (name, lives) in workers.chain(servers) {
            match lives.leave(Signal::SIGTERM, PATIENCE).await {
                Some(status) if status.success() => {}
                other => leaked.push(format!("{name} left with {other:?}")),
            }
        }
        for number in 0..WORKERS {
            leaked.extend(files_of_runs(&self.folder, &format!("worker{number}")));
        }
        leaked
    }
}

/// Makes the data directory of a server with the token that all share.
fn give_token(data: &Path) {
    fs::create_dir(data).expect("a folder");
    fs::set_permissions(data, fs::Permissions::from_mode(0o700)).expect("our own folder");
    let file = data.join("operator.token");
    fs::write(&file, format!("{TOKEN}\n")).expect("a file");
    fs::set_permissions(file, fs::Permissions::from_mode(0o600)).expect("our own file");
}

/// Waits until a server answers that it is ready.
async fn ready(http: SocketAddr) -> Result<(), String> {
    let until = Instant::now() + PATIENCE;
    let stranger = Operator { to: http, token: String::new() };
    while stranger.ask("GET", "/readyz", None).is_none_or(|(status, _)| status != 200) {
        if Instant::now() > until {
            return Err(format!("the server at {http} does not begin"));
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}
