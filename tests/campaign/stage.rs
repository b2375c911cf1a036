//! Where a campaign takes place: the server, the folder of the traces, the bystanders, and what is counted.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tempfile::TempDir;

use super::oracle::history::{Outage, ShimDeath};
use super::script::TRACE;
use super::support::{Options, Server, State, WorkerSpec};

/// How many processes stand by, and must not be touched.
const BYSTANDERS: usize = 20;
/// How often what is due is announced again.
const REANNOUNCED: Duration = Duration::from_millis(250);
/// The key of the worker.
pub const API_KEY: &str = "campaigner";
/// The key of the nth worker, from 0.
pub fn api_key(nth: usize) -> String {
    if nth == 0 { API_KEY.to_owned() } else { format!("{nth}-{API_KEY}") }
}

/// The secret of the worker, found again wherever it should not be.
pub const SECRET: &str = "canary-7f3a-of-the-campaign";

/// The stage. Shared by all who act on it.
pub struct Stage {
    pub server: Server,
    folder: TempDir,
    bystanders: Vec<Child>,
    pub seen: Mutex<Seen>,
}

/// What is noted on the way, besides what the server and the scripts note.
#[derive(Default)]
pub struct Seen {
    /// Faults by their names.
    pub faults: BTreeMap<String, usize>,
    pub shim_deaths: Vec<ShimDeath>,
    /// Shims that there were.
    pub shims: BTreeSet<i32>,
    /// By kill request, who lived when it was said to be executed.
    pub survivors: BTreeMap<i64, Vec<i32>>,
    /// Which run each kill request means.
    pub killed: BTreeMap<i64, i64>,
    /// Runs that the server once denied.
    pub disowned: BTreeSet<i64>,
    /// Runs whose result was refused.
    pub results_refused: BTreeSet<i64>,
    /// Runs of which everything was refused for a time: their start may be told late.
    pub refused: BTreeSet<i64>,
    /// Runs whose log the server refused for its size.
    pub logs_refused: BTreeSet<i64>,
    /// Runs that were under way when the outbox was lost, and kills.
    pub forgotten: BTreeSet<i64>,
    pub kills_forgotten: BTreeSet<i64>,
    /// Runs that were under way while the disk was full.
    pub without_room: BTreeSet<i64>,
    /// Whether runs are made as fast as they return.
    pub is_unpaced: bool,
    /// How long each hand-over took.
    pub hand_overs: Vec<Duration>,
    pub outages: Vec<Outage>,
}

impl Seen {
    pub fn count(&mut self, fault: impl Into<String>) {
        *self.faults.entry(fault.into()).or_default() += 1;
    }

    /// How many faults with a name that begins so.
    pub fn counted(&self, prefix: &str) -> usize {
        self.faults.iter().filter(|(name, _)| name.starts_with(prefix)).map(|(_, count)| count).sum()
    }
}

impl Stage {
    /// A stage for so many workers; the first is meant where none is named.
    pub async fn new(workers: usize) -> Self {
        let folder = TempDir::with_prefix("job-runner-campaign-").expect("a temporary folder");
        fs::create_dir(folder.path().join("crash-points")).expect("a new folder");
        let server = Server::start(Options {
            workers: (0..workers).map(|nth| WorkerSpec::new(&api_key(nth), SECRET)).collect(),
            reannounce: Some(REANNOUNCED),
            ..Options::default()
        })
        .await;
        let bystander = |_| Command::new("sleep").arg("86400").stdin(Stdio::null()).spawn().expect("a bystander");
        Self { server, folder, bystanders: (0..BYSTANDERS).map(bystander).collect(), seen: Mutex::default() }
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    /// Where points to die at are armed.
    pub fn crash_points(&self) -> PathBuf {
        self.folder.path().join("crash-points")
    }

    /// What the scripts have said so far.
    pub fn trace(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.folder.path().join(TRACE)).unwrap_or_default()).into_owned()
    }

    pub fn bystander(&self, nth: usize) -> i64 {
        i64::from(self.bystanders[nth % BYSTANDERS].id())
    }

    /// Those that are not there any more.
    pub fn bystanders_gone(&mut self) -> Vec<i32> {
        let gone = |child: &mut Child| child.try_wait().ok().flatten().map(|_| i32::try_from(child.id()).unwrap_or(0));
        self.bystanders.iter_mut().filter_map(gone).collect()
    }

    /// Leaves the folder where it is.
    pub fn keep(&mut self) -> PathBuf {
        self.folder.disable_cleanup(true);
        self.path()
    }

    pub fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub fn count(&self, fault: impl Into<String>) {
        self.seen().count(fault);
    }

    /// The outbox is lost: what it held is not known any more.
    pub fn forget_what_is_under_way(&self) {
        let (runs, kills) = self.server.look(|state| {
            let kills = state.kills.values().filter(|kill| kill.enqueue_dts.is_some() && kill.execute_dts.is_none());
            (under_way(state), kills.map(|kill| kill.id).collect::<Vec<_>>())
        });
        let mut seen = self.seen();
        seen.forgotten.extend(runs);
        seen.kills_forgotten.extend(kills);
    }

    /// What runs has no room for its output.
    pub fn note_lack_of_room(&self) {
        let runs = self.server.look(under_way);
        self.seen().without_room.extend(runs);
    }

    /// How many runs have returned.
    pub fn returned(&self) -> usize {
        self.server.look(returned)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        for bystander in &mut self.bystanders {
            let _ = bystander.kill();
            let _ = bystander.wait();
        }
    }
}

/// Runs that are claimed and have not returned.
fn under_way(state: &State) -> Vec<i64> {
    let is = |run: &&super::support::RunRow| run.claims() > 0 && run.return_dts.is_none();
    state.runs.values().filter(is).map(|run| run.id).collect()
}

/// How many runs have returned.
pub fn returned(state: &State) -> usize {
    state.runs.values().filter(|run| run.return_dts.is_some()).count()
}

/// Seconds since the epoch, as a script's `EPOCHREALTIME`.
pub fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}
