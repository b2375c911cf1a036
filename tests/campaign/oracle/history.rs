//! What a campaign has seen, as data.

/// Everything that the oracle judges.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// How many scripts may run at once.
    pub concurrent_jobs: usize,
    /// After how many lost executions a run is failed.
    pub max_attempts: u32,
    pub runs: Vec<Run>,
    /// What the scripts said, in the order in which they said it.
    pub marks: Vec<Mark>,
    pub shim_deaths: Vec<ShimDeath>,
    pub kills: Vec<Kill>,
    /// Pids of processes that nobody had a reason to touch, and that are gone.
    pub bystanders_gone: Vec<i32>,
    /// What is still there after the worker has left: processes, files, sockets, cgroups.
    pub left: Vec<String>,
    /// Sizes of one worker process over many runs, in order.
    pub sizes: Vec<Size>,
    /// Where the worker's secret was found.
    pub secret_found: Vec<String>,
    /// The requests that one worker process made while the API did nothing but fail.
    pub outages: Vec<Outage>,
    /// How the worker left at the end; `None`: it had to be killed.
    pub exit_code: Option<i32>,
}

/// A run as the server and the plan know it.
#[derive(Clone, Debug, Default)]
pub struct Run {
    pub id: i64,
    /// How many numbered lines its script prints.
    pub lines: u32,
    /// Whether its output is longer than a log may be.
    pub is_long: bool,
    /// What accepted requests did, in order.
    pub steps: Vec<Step>,
    pub log: String,
    /// How often the server acted on its end.
    pub completions: usize,
    pub success: Option<bool>,
    /// Whether a kill was asked for.
    pub is_killed: bool,
    /// Whether the server once denied that there is such a run, or that it is this worker's. What becomes of it
    /// then is for the server to say: it may execute again, or never return.
    pub was_disowned: bool,
    /// Whether its start was refused for a time, and may be told behind its log.
    pub start_was_refused: bool,
    /// Whether the server refused its log for its size.
    pub log_was_refused: bool,
    /// Whether it was claimed and not returned when the outbox was lost: it may be reset, and its attempts be
    /// counted anew.
    pub was_forgotten: bool,
    /// Whether it was under way while the disk was full: of its output something may be missing.
    pub had_no_room: bool,
}

/// What a request did to a run; several in one request have the same `seq`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    pub seq: u64,
    pub did: Did,
}

/// See [`Step`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Did {
    Claim,
    Start,
    Pid,
    Log,
    Return,
    Reset,
    Other,
}

/// What a script said of itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Mark {
    pub says: Says,
    pub run: i64,
    pub attempt: u32,
    /// Seconds since the epoch.
    pub at: f64,
}

/// See [`Mark`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Says {
    /// It begins, under this shim, or as an [`ORPHAN`].
    Begin { shim: i32 },
    /// It ends, and is about to exit with this code.
    End { code: i32 },
    /// It has found another execution of its run alive.
    Overlap,
}

/// Instead of the pid of a shim that had died before its script could look.
pub const ORPHAN: i32 = 0;

/// A shim that was killed by the campaign, or died at a named point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ShimDeath {
    pub pid: i32,
    /// Seconds since the epoch.
    pub at: f64,
}

/// A kill request.
#[derive(Clone, Debug, Default)]
pub struct Kill {
    pub id: i64,
    pub run: i64,
    /// Whether the server knows that somebody has it: else it announces it for ever.
    pub is_taken: bool,
    pub is_executed: bool,
    /// Whether it was taken and not executed when the outbox was lost.
    pub was_forgotten: bool,
    /// Processes of the run that lived when `execute_dts` arrived.
    pub survivors: Vec<i32>,
}

/// How large the worker was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// How many runs had returned.
    pub returned: usize,
    /// Anonymous memory, in KiB: without the pages of files, which are the page cache's.
    pub anonymous_kib: u64,
    pub descriptors: usize,
}

/// A time in which every request failed.
#[derive(Clone, Debug, Default)]
pub struct Outage {
    /// When each request came, in seconds since it began, and its path.
    pub requests: Vec<(f64, String)>,
}
