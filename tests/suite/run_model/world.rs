//! What there is in the model: a server, a disk, shims with their scripts, and a worker that may be dead.

use jobrunner::run::claim::{ClaimPhase, Effect};

/// How many attempts a run can come to within the faults that are explored.
pub const ATTEMPTS: usize = 7;
/// After how many losses a run is failed.
pub const MAX_LOSSES: u8 = 3;

/// Everything at one moment.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct World {
    pub server: Server,
    pub disk: Disk,
    pub shims: [Shim; ATTEMPTS],
    /// Scripts that run, by attempt; they outlive their shims.
    pub scripts: [Script; ATTEMPTS],
    pub worker: Option<Worker>,
    pub neighbour: Neighbour,
    /// How many shims died with a run.
    pub shim_deaths: u8,
    pub faults: Faults,
}

/// How many faults may still happen.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Faults {
    pub worker_crashes: u8,
    pub shim_crashes: u8,
    /// Requests without an answer, done or not.
    pub unanswered: u8,
    /// Writes that are answered with a rejection.
    pub rejected: u8,
    /// Pids of dead shims that another shim gets.
    pub pids_used_again: u8,
}

/// The script of another run.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Neighbour {
    Runs,
    /// Under a shim that has the pid of this attempt's dead one.
    RunsUnderPidOf(usize),
    Killed,
}

/// The run, as the server has it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Server {
    pub is_claimed: bool,
    pub is_started: bool,
    pub has_log: bool,
    pub is_returned: bool,
    /// How often something was told of a run that had returned.
    pub told_too_late: u8,
}

/// What survives the worker.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Disk {
    pub row: Option<Row>,
    pub records: [Option<Record>; ATTEMPTS],
    /// Whether the file of the script is there.
    pub files: [bool; ATTEMPTS],
}

impl Disk {
    /// Whether all that is left are records in which nothing was written.
    pub fn is_only_empty_records(&self) -> bool {
        let is_empty = |record: &Option<Record>| matches!(record, None | Some(Record::Empty));
        self.row.is_none() && self.records.iter().all(is_empty) && !self.files.contains(&true)
    }
}

/// The run in the outbox.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Row {
    pub attempt: usize,
    pub losses: u8,
    pub is_started: bool,
    pub is_ended: bool,
}

/// The record of an execution. Its lock is held while its shim lives and has not written the end.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Record {
    Empty,
    Begun,
    Spawned,
    Ended,
}

/// How far a shim has come with its order.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Shim {
    #[default]
    None,
    Ordered,
    /// It has made the record.
    Licensed,
    /// The record says that it begins.
    Begun,
    /// The script was started.
    Spawned,
    /// The record says so.
    Running,
    /// The script ended.
    Exited,
    /// The record says so.
    Done,
    /// It would not execute.
    Refused,
    Dead,
}

impl Shim {
    /// Whether it holds the lock of its record.
    pub fn holds_lock(self) -> bool {
        matches!(self, Self::Licensed | Self::Begun | Self::Spawned | Self::Running | Self::Exited)
    }

    /// Whether it can do something still, or die.
    pub fn is_alive(self) -> bool {
        !matches!(self, Self::None | Self::Refused | Self::Dead)
    }
}

/// A script.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Script {
    pub executions: u8,
    pub is_alive: bool,
}

/// A worker that lives: the run's task and its courier.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Worker {
    pub task: Task,
    pub courier: Option<Courier>,
    /// Whether the task has the run's entry, on disk already.
    pub has_entry: bool,
    /// Whether the runs are still to be asked for that only the server knows of.
    pub list_is_due: bool,
}

/// What the task of the run does next.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Task {
    /// It has just been started and reads what is on disk.
    Starting,
    /// It waits for somebody to say that the run is due.
    Waiting,
    /// It follows an effect of the claim's machine.
    Travelling(ClaimPhase, Effect),
    /// The row is written; the claim goes out.
    Claiming,
    /// The script is written.
    Ordering,
    /// The shim has its order.
    Watching,
    /// Nobody watches the execution: it looks what is left of it. Taken up at the start, or since its shim hung up.
    Looking { is_found: bool },
    /// A dead shim's script is ended.
    Clearing,
    /// An execution is written off.
    Counting { has_begun: bool },
    /// The second half of that.
    Relaunching { losses: u8 },
    /// Nothing more to do here.
    Over,
}

/// What the courier knows; see the report's plan.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Courier {
    pub attempt: usize,
    pub is_in_doubt: bool,
    pub is_started: bool,
    pub is_start_told: bool,
    pub is_ended: bool,
    pub is_log_sent: bool,
    /// How often in a row what was rejected.
    pub starts_rejected: u8,
    pub logs_rejected: u8,
    pub results_rejected: u8,
    pub has_looked: bool,
    /// All is told: the files go, then the row.
    pub is_leaving: bool,
}
