//! What is wanted of which figure.

/// What a figure is to be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Goal {
    AtLeast(f64),
    AtMost(f64),
    LessThan(f64),
    /// It is told, that is all.
    None,
}

impl Goal {
    pub fn is_met(self, value: f64) -> Option<bool> {
        match self {
            Self::AtLeast(goal) => Some(value >= goal),
            Self::AtMost(goal) => Some(value <= goal),
            Self::LessThan(goal) => Some(value < goal),
            Self::None => None,
        }
    }
}

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Scenario and figure.
    pub key: &'static str,
    pub what: &'static str,
    pub unit: &'static str,
    pub goal: Goal,
}

const fn row(key: &'static str, what: &'static str, unit: &'static str, goal: Goal) -> Row {
    Row { key, what, unit, goal }
}

use Goal::{AtLeast, AtMost, LessThan};

/// All of them, in the order of the table.
pub const ROWS: &[Row] = &[
    row("throughput4.of_limit", "no-op runs, 4 at once: of the limit", "%", AtLeast(55.0)),
    row("throughput4.runs", "they are", "runs/s", Goal::None),
    row("throughput64.of_limit", "64 at once: of the limit", "%", AtLeast(60.0)),
    row("throughput64.runs", "they are", "runs/s", Goal::None),
    row("throughput256.of_limit", "256 at once: of the limit", "%", AtLeast(50.0)),
    row("throughput256.runs", "they are", "runs/s", Goal::None),
    row("throughput64.calls", "REST calls a run", "", AtMost(6.0)),
    row("throughput64.connections", "connections a run", "", AtMost(0.1)),
    row("own_throughput.of_limit", "no-op runs of our own server, 64 at once: of the limit", "%", AtLeast(40.0)),
    row("own_throughput.runs", "they are", "runs/s", Goal::None),
    row("latency.first_line_p50", "broadcast to the script's first line, p50", "ms", AtMost(2.5)),
    row("latency.first_line_p99", "p99", "ms", AtMost(15.0)),
    row("own_latency.first_line_p50", "our own server: due to the script's first line, p50", "ms", AtMost(3.5)),
    row("own_latency.first_line_p99", "p99", "ms", AtMost(7.0)),
    row("latency.returned_p50", "script's end to the return, p50", "ms", AtMost(1.0)),
    row("latency.returned_p99", "p99", "ms", Goal::None),
    row("slow_server.runs", "server with 10 ms a call, 8 at once", "runs/s", AtLeast(105.0)),
    row("sleepers.wall", "64 scripts that sleep 2 s, all over after", "s", AtMost(2.3)),
    row("output.peak", "200 MiB of output: peak memory of worker and shim", "MB", AtMost(14.0)),
    row("output.returned", "script's end to the return", "ms", AtMost(5.0)),
    row("output.of_piped", "script's time, of that before `cat`", "%", AtMost(105.0)),
    row("kill.gone", "kill of a tree of 50: all gone after", "ms", AtMost(20.0)),
    row("drain.left", "drain: exit after the last script's end", "ms", AtMost(20.0)),
    row("start.answered", "start to answered ping", "ms", AtMost(80.0)),
    row("idle.private", "idle: private memory", "MB", AtMost(10.0)),
    row("idle.resident", "idle: resident size", "MB", Goal::None),
    row("idle.wake_ups", "idle: wake-ups", "1/s", LessThan(1.0)),
    row("crowd.private", "1,000 runs at once: private memory of a shim", "MB", AtMost(0.5)),
    row("crowd.private_max", "the largest", "MB", AtMost(0.5)),
    row("crowd.started_after", "all of them run after", "s", Goal::None),
    row("crowd.worker_peak", "peak resident size of the worker", "MB", Goal::None),
    row("endurance.runs", "50,000 runs in a row", "runs/s", Goal::None),
    row("endurance.memory_grown", "growth after the first 15,000: private memory", "MB", LessThan(1.0)),
    row("endurance.descriptors_grown", "descriptors never closed", "", AtMost(0.0)),
    row("endurance.disk_grown", "disk", "MB", LessThan(1.0)),
    row("backlog.opened", "an outbox of 100,000 undelivered facts: opened in", "s", LessThan(1.0)),
    row("backlog.facts", "delivered", "facts/s", AtLeast(5000.0)),
    row("own_two_workers.runs", "our own server with two of our workers", "runs/s", AtLeast(1000.0)),
    row("own_postgres.sqlite", "two workers, data in SQLite", "runs/s", Goal::None),
    row("own_postgres.runs", "data in PostgreSQL on this machine, in the same minute", "runs/s", Goal::None),
    row("own_postgres.of_sqlite", "of the rate with SQLite", "%", AtLeast(60.0)),
    row("own_postgres.two_servers", "two servers, a worker at each", "runs/s", Goal::None),
    row("own_postgres.two_of_one", "of the rate with one server", "%", AtLeast(100.0)),
    row("own_crowd.idle", "our own server, 1,000 idle workers: resident memory", "MB", LessThan(150.0)),
    row("own_crowd.announced_p50", "1,000 workers, 10,000 jobs: due to announced, p50", "ms", Goal::None),
    row("own_crowd.announced_p99", "p99", "ms", AtMost(10.0)),
    row("own_workers1.runs", "1 light worker", "runs/s", Goal::None),
    row("own_workers1.announced_p99", "due to announced, p99", "ms", Goal::None),
    row("own_workers1000.runs", "1,000 light workers", "runs/s", Goal::None),
    row("own_workers1000.announced_p99", "due to announced, p99", "ms", Goal::None),
    row("own_history3.runs", "after 1,000 runs", "runs/s", Goal::None),
    row("own_history3.announced_p99", "due to announced, p99", "ms", Goal::None),
    row("own_history6.runs", "after 1,000,000 runs", "runs/s", Goal::None),
    row("own_history6.announced_p99", "due to announced, p99", "ms", Goal::None),
    row("own_job_history0.runs", "one job without past runs, a light worker", "runs/s", Goal::None),
    row("own_job_history0.announced_p99", "due to announced, p99", "ms", Goal::None),
    row("own_job_history5.runs", "one job with 100,000 past runs", "runs/s", Goal::None),
    row("own_job_history5.announced_p99", "due to announced, p99", "ms", Goal::None),
    row("own_requests3.kill", "after 1,000 runs: the three requests of a kill", "ms", Goal::None),
    row("own_requests3.log", "the two requests of a log", "ms", Goal::None),
    row("own_requests3.list", "list of a worker's open runs", "ms", Goal::None),
    row("own_requests6.kill", "after 1,000,000 runs: the three requests of a kill", "ms", Goal::None),
    row("own_requests6.log", "the two requests of a log", "ms", Goal::None),
    row("own_requests6.list", "list of a worker's open runs", "ms", Goal::None),
    row("own_start.answered", "server with 10,000 jobs: start to the first connection", "ms", Goal::None),
    row("own_start.announced", "start to the announcement of a run that was due", "ms", AtMost(50.0)),
    row(
        "own_herd3.last_started",
        "1,000 jobs due at one moment, two workers with 32 slots: last started",
        "s",
        AtMost(1.0),
    ),
    row("own_herd3.missed", "due times without a run", "", AtMost(0.0)),
    row("own_herd4.last_started", "10,000 jobs due at one moment: last started", "s", AtMost(10.0)),
    row("own_herd4.missed", "due times without a run", "", AtMost(0.0)),
    row("own_chain.wall", "a chain of 40 jobs that do nothing", "s", AtMost(0.4)),
    row("own_day.cpu", "a million runs a day, light workers: of a core", "%", AtMost(3.0)),
    row("own_day.memory", "resident memory", "MB", AtMost(60.0)),
    row(
        "own_farm_polling.task_p50",
        "100,000 Flamenco tasks, 1,000 workers: answer with a task, p50",
        "ms",
        Goal::None,
    ),
    row("own_farm_polling.task_p99", "p99", "ms", AtMost(10.0)),
    row("own_farm_polling.missed", "workers that were not told to go on", "", AtMost(0.0)),
    row("own_farm_tasks.tasks", "Flamenco tasks that do nothing, 16 workers", "tasks/s", AtLeast(200.0)),
    row("abuse_silence.peak", "1,000 connections that say nothing: peak memory of the server", "MB", LessThan(150.0)),
    row("abuse_silence.started_p99", "due to the first line of another job meanwhile, p99", "ms", LessThan(50.0)),
    row("abuse_heads.peak", "1,000 heads of 60 kB that do not end: peak memory of the server", "MB", LessThan(150.0)),
    row("abuse_heads.started_p99", "due to the first line of another job meanwhile, p99", "ms", LessThan(50.0)),
    row("abuse_login.peak", "100 forms of 4 MB that do not end: peak memory of the server", "MB", LessThan(150.0)),
    row("abuse_login.started_p99", "due to the first line of another job meanwhile, p99", "ms", LessThan(50.0)),
    row(
        "abuse_unsigned.peak",
        "20 calls of 32 MB that nobody signed: peak memory of the server",
        "MB",
        LessThan(150.0),
    ),
    row("abuse_unsigned.started_p99", "due to the first line of another job meanwhile, p99", "ms", LessThan(50.0)),
    row(
        "abuse_pages.peak",
        "all logs of 240 MB read four times at once: peak memory of the server",
        "MB",
        LessThan(150.0),
    ),
    row("abuse_pages.started_p99", "due to the first line of another job meanwhile, p99", "ms", LessThan(50.0)),
    row("abuse_uplink.peak", "12 messages of 20 MB that do not end: peak memory of the server", "MB", LessThan(150.0)),
    row("abuse_uplink.started_p99", "due to the first line of another job meanwhile, p99", "ms", LessThan(50.0)),
    row(
        "abuse_frames.peak",
        "a ZeroMQ message that never ends, four times: peak memory of the server",
        "MB",
        LessThan(150.0),
    ),
    row("abuse_frames.started_p99", "due to the first line of another job meanwhile, p99", "ms", LessThan(50.0)),
    row(
        "abuse_strangers.peak",
        "ZeroMQ subscriptions to no worker without end: peak memory of the server",
        "MB",
        LessThan(150.0),
    ),
    row("abuse_strangers.started_p99", "due to the first line of another job meanwhile, p99", "ms", LessThan(50.0)),
    row(
        "abuse_repeats.peak",
        "the same ZeroMQ subscription without end: peak memory of the server",
        "MB",
        LessThan(150.0),
    ),
    row("abuse_repeats.started_p99", "due to the first line of another job meanwhile, p99", "ms", LessThan(50.0)),
    row(
        "abuse_templates.peak",
        "templates nested 8,000 times, four at once: peak memory of the server",
        "MB",
        LessThan(150.0),
    ),
    row("abuse_templates.started_p99", "due to the first line of another job meanwhile, p99", "ms", LessThan(50.0)),
];

/// What a build without optimization must reach: a third of what it reached on two cores when this was written. Less is no
/// noise; it is a wait, a poll or a lost pool.
pub const SMOKE: &[Row] = &[
    row("throughput64.of_limit", "64 at once: of the limit", "%", AtLeast(SMOKE_OF_LIMIT / 3.0)),
    row("latency.first_line_p50", "broadcast to the script's first line, p50", "ms", AtMost(SMOKE_FIRST_LINE * 3.0)),
];
/// Percent.
const SMOKE_OF_LIMIT: f64 = 15.0;
/// Milliseconds.
const SMOKE_FIRST_LINE: f64 = 7.0;
