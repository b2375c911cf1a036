//! The server's campaign: the server and workers as processes under faults, hostile scripts on schedules and by hand, and
//! an oracle that goes by what the scripts say of themselves.

mod clock;
mod corpus;
mod held;
pub mod oracle;
mod plan;
pub mod stage;
mod templates;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jobrunner::crash_point::Point;
use nix::sys::signal::Signal;
use rusqlite::Row as Record;
use serde_json::json;

use crate::arguments::Arguments;
use crate::oracle::history::Says;
use crate::script::{TRACE, marks};
use crate::small_disk::{self, SmallDisk};
use crate::support::{connect, end_everything_marked};
use clock::Clock;
use held::Held;
use oracle::{Expected, Fire, History, Job, Row};
use plan::{Act, Plan};
use stage::{LOOK, Lives, Operator, Place, Time, fake_time, files_of_runs, survivors};

/// How many workers.
const WORKERS: usize = 2;
/// How many runs each executes at once.
const SLOTS: usize = 4;
/// How many jobs are due by themselves.
const JOBS: usize = 6;
/// From one run that is handed over to the next.
const PACE: Duration = Duration::from_millis(250);
/// How many runs that were handed over may wait to begin at once.
const OPEN: usize = 12;
/// How long the server may take to come to a named point.
const PASSING: Duration = Duration::from_secs(3);
/// How long something stays frozen or full, and how long after its clock was set the server knows.
const MOMENT: Duration = Duration::from_millis(1200);
/// How long after the last fault everything must be over.
const SETTLING: Duration = Duration::from_secs(60);
/// How long a process has to leave that is asked to.
const LEAVING: Duration = Duration::from_secs(30);
/// How long the server may accept nothing, or its workers begin nothing, before that is the end.
const DEAF: Duration = Duration::from_secs(90);
/// The size of the server's disk, in megabytes: the data of a thousand runs have room, with scripts of 300 kB.
const DISK: usize = 160;
/// How much memory the server may hold, in KiB.
const MEMORY: u64 = 150 * 1024;

/// Everybody on the stage.
struct Campaign {
    plan: Plan,
    folder: PathBuf,
    data: PathBuf,
    operator: Operator,
    place: Place,
    clock: Clock,
    held: Held,
    server: Lives,
    workers: Vec<Lives>,
    faults: BTreeMap<String, usize>,
    accepted: BTreeMap<i64, Expected>,
    jobs: Vec<Job>,
    refused: usize,
    /// When a run was accepted last.
    taken: Instant,
    largest: u64,
    complaints: Vec<String>,
}

/// Runs it, prints what came of it, and answers whether all was well.
pub async fn campaign(arguments: &Arguments) -> bool {
    let since = Instant::now();
    let mut folder = tempfile::TempDir::with_prefix("job-runner-campaign-").expect("a temporary folder");
    let data = folder.path().join("data");
    fs::create_dir(&data).expect("a folder");
    let disk = SmallDisk::mount(&data, DISK);
    if fake_time().is_none() {
        println!("no clock is set wrong: libfaketime is not installed");
    }
    let mut campaign = Campaign::begin(arguments, folder.path(), &data).await;
    campaign.make_jobs().await;
    campaign.rage().await;
    let history = campaign.end().await;
    let breaches = oracle::judge(&history);
    campaign.report(arguments, &history, &breaches, since.elapsed());
    let well = breaches.is_empty() && campaign.complaints.is_empty();
    drop(campaign);
    end_everything_marked(folder.path());
    if arguments.keep || !well {
        folder.disable_cleanup(true);
        for name in ["job_runner.sqlite", "job_runner.sqlite-wal"] {
            let _ = fs::copy(data.join(name), folder.path().join(name));
        }
        println!("traces, logs and the database: {}", folder.path().display());
    }
    drop(disk);
    well
}

impl Campaign {
    async fn begin(arguments: &Arguments, folder: &Path, data: &Path) -> Self {
        let mut plan = Plan::new(arguments.seed, arguments.runs, JOBS, folder);
        let place = Place::free();
        place.configure(&folder.join("server.ini"), data, "announce_interval = 1\nping_interval = 20\n");
        let clock = Clock::new(folder, i64::from(plan.skew()) * 3600);
        let time = Time::AsInFile(clock::file(folder));
        let server = Lives::server("server", Path::new(env!("CARGO_BIN_EXE_job_runner")), folder, time);
        let mut operator = Operator { to: place.http, token: String::new() };
        let until = Instant::now() + LEAVING;
        while operator.ask("GET", "/readyz", None).is_none_or(|(status, _)| status != 200) {
            assert!(Instant::now() < until, "the server does not begin");
            tokio::time::sleep(LOOK).await;
        }
        operator.token = fs::read_to_string(data.join("operator.token")).expect("a token").trim().to_owned();
        let mut workers = Vec::new();
        for number in 0..WORKERS {
            let key = format!("worker{number}");
            let made = operator.insist("/operator/v1/workers", &json!({"title": key})).await.expect("a worker");
            // Every second one has an uplink, so that both ways are taken. Where its clock is wrong, the server refuses it.
            let uplink = (number % 2 == 0).then(|| ("ws_url", place.uplink()));
            let secret = made["secret"].as_str().expect("a secret");
            place.configure_worker(folder, &key, secret, SLOTS, uplink.as_slice());
            workers.push(Lives::worker(&arguments.worker, folder, &key, plan.skew()));
        }
        let (folder, data) = (folder.to_owned(), data.to_owned());
        Self {
            plan,
            folder,
            data,
            operator,
            place,
            clock,
            held: Held::default(),
            server,
            workers,
            faults: BTreeMap::new(),
            accepted: BTreeMap::new(),
            jobs: Vec::new(),
            refused: 0,
            taken: Instant::now(),
            largest: 0,
            complaints: Vec::new(),
        }
    }

    async fn make_jobs(&mut self) {
        for (number, job) in self.plan.jobs.clone().into_iter().enumerate() {
            let title = format!("template{number}");
            let template = json!({"title": title, "body": job.template});
            if self.operator.insist("/operator/v1/templates", &template).await.is_none() {
                self.complaints.push(format!("the template {:?} was refused", shortened(&job.template)));
            }
            let new = json!({
                "title": format!("job{number}"), "script": job.script.text, "cron": format!("*/{} * * * * *", job.step),
                "zone": "UTC", "concurrency": job.concurrency, "template": title,
            });
            match self.operator.insist("/operator/v1/jobs", &new).await.and_then(|made| made["id"].as_i64()) {
                Some(id) => {
                    // The second in which it was made may be one of its times or not.
                    let from = self.clock.now() + 1;
                    let (step, expected) = (i64::from(job.step), job.script.expected);
                    self.jobs.push(Job { id, expected, step, phase: 0, from, to: i64::MAX });
                }
                None => self.complaints.push(format!("job{number} of {:?} was refused", job.script.kind)),
            }
        }
    }

    /// Hands scripts over and does what the plan says, until all were handed over and have come to an end.
    async fn rage(&mut self) {
        let mut scripts = std::mem::take(&mut self.plan.scripts).into_iter().enumerate();
        let mut more = true;
        while more {
            let (pause, act) = self.plan.turn(WORKERS);
            let until = Instant::now() + pause;
            while more && Instant::now() < until {
                if self.waiting() < OPEN {
                    match scripts.next() {
                        Some((number, script)) => self.hand_over(number, &script),
                        None => more = false,
                    }
                }
                tokio::time::sleep(PACE).await;
            }
            self.act(act).await;
            self.held.let_go();
            if self.taken.elapsed() > DEAF {
                self.complaints.push(format!("nothing is accepted for {DEAF:?}"));
                break;
            }
            self.largest = self.largest.max(self.server.resident_kib().unwrap_or(0));
            self.revive();
        }
    }

    /// How many runs that were handed over have not said that they begin.
    fn waiting(&self) -> usize {
        let trace = fs::read(self.folder.join(TRACE)).unwrap_or_default();
        let begun: BTreeSet<i64> = marks(&String::from_utf8_lossy(&trace)).iter().map(|mark| mark.run).collect();
        let silent = |expected: &Expected| *expected == Expected::NoExecution;
        self.accepted.iter().filter(|(run, expected)| !begun.contains(run) && !silent(expected)).count()
    }

    fn hand_over(&mut self, number: usize, script: &corpus::Hostile) {
        let new = json!({
            "title": format!("{:?} {number}", script.kind), "script": script.text, "timeout": script.timeout,
        });
        match self.operator.ask("POST", "/operator/v1/runs", Some(&new)) {
            Some((201, run)) => {
                if let Some(id) = run["id"].as_i64() {
                    self.accepted.insert(id, script.expected);
                    self.taken = Instant::now();
                }
            }
            // The server is away, its disk is full, or it does not take such scripts.
            _ => self.refused += 1,
        }
    }

    fn count(&mut self, fault: &str) {
        *self.faults.entry(fault.to_owned()).or_default() += 1;
    }

    async fn act(&mut self, act: Act) {
        match act {
            Act::KillServer => {
                self.count("server SIGKILL");
                self.server.kill();
            }
            Act::CrashServer(point, nth) => self.crash_server(point, nth).await,
            Act::KillWorker(nth) => {
                self.count("worker SIGKILL");
                self.workers[nth].kill();
            }
            Act::KillEverybody => {
                self.count("everybody SIGKILL");
                self.server.kill();
                self.workers.iter_mut().for_each(Lives::kill);
            }
            Act::RestartServer => {
                self.count("server SIGTERM");
                if self.server.leave(Signal::SIGTERM, LEAVING).await.is_none_or(|status| !status.success()) {
                    self.complaints.push("the server does not leave in order".to_owned());
                    self.server.kill();
                }
            }
            Act::HandOver(nth) => {
                self.count("hand-over");
                if self.workers[nth].leave(Signal::SIGUSR2, LEAVING).await.is_none() {
                    self.complaints.push(format!("worker{nth} does not hand over"));
                    self.workers[nth].kill();
                }
            }
            Act::Freeze(nth) => {
                self.count("worker SIGSTOP");
                self.workers[nth].signal(Signal::SIGSTOP);
                tokio::time::sleep(MOMENT).await;
                self.workers[nth].signal(Signal::SIGCONT);
            }
            Act::FullDisk if small_disk::is_one(&self.data) => {
                self.count("disk of the server full");
                small_disk::fill(&self.data);
                tokio::time::sleep(MOMENT).await;
                small_disk::empty(&self.data);
            }
            Act::FullDisk => {}
            Act::SetClock(by) => self.set_clock(by).await,
            Act::BadTemplate(body) => {
                self.count("bad template");
                let new = json!({"title": "bad", "body": body});
                if let Some((200..300, _)) = self.operator.ask("POST", "/operator/v1/templates", Some(&new)) {
                    self.complaints.push(format!("the template {:?} was taken", shortened(&body)));
                }
            }
            Act::HoldConnections(count, seconds) => {
                self.count("connections held");
                self.held.hold(self.place, count, Duration::from_secs(seconds));
            }
        }
    }

    async fn crash_server(&mut self, point: Point, nth: u32) {
        if self.server.die_at(point, nth, PASSING).await {
            self.count(&format!("server died at {point:?}"));
        } else {
            self.count("server SIGKILL");
        }
    }

    async fn set_clock(&mut self, by: i64) {
        let name = match self.clock.set(by) {
            0 => return,
            1800.. => "server's clock an hour forward",
            1.. => "server's clock a minute forward",
            -1799..=-1 => "server's clock some seconds back",
            _ => "server's clock an hour back",
        };
        self.count(name);
        tokio::time::sleep(MOMENT).await;
    }

    /// Whoever is gone lives again.
    fn revive(&mut self) {
        if self.server.ended().is_some() {
            self.server.again(Time::AsInFile(clock::file(&self.folder)));
        }
        for worker in &mut self.workers {
            if worker.ended().is_some() {
                let skew = self.plan.skew();
                if skew != 0 && fake_time().is_some() {
                    *self.faults.entry("a worker's clock wrong by an hour".to_owned()).or_default() += 1;
                }
                worker.again(Time::Wrong(skew));
            }
        }
    }

    /// No more faults: waits until all is over, lets everybody leave, and gathers what was seen.
    async fn end(&mut self) -> History {
        for job in 0..self.jobs.len() {
            let path = format!("/operator/v1/jobs/{}/disable", self.jobs[job].id);
            self.jobs[job].to = self.clock.latest();
            while self.operator.ask("POST", &path, Some(&json!({}))).is_none_or(|(status, _)| status >= 500) {
                self.revive();
                tokio::time::sleep(LOOK).await;
            }
        }
        let until = Instant::now() + SETTLING;
        let mut rows = self.rows();
        while rows.iter().any(|row| !row.is_over && !row.is_on_hold) && Instant::now() < until {
            self.revive();
            tokio::time::sleep(LOOK * 10).await;
            rows = self.rows();
        }
        let survivors = survivors(&self.folder);
        let leaked = self.leave().await;
        let trace = fs::read(self.folder.join(TRACE)).unwrap_or_default();
        History {
            rows: self.rows(),
            jobs: self.jobs.clone(),
            accepted: self.accepted.clone(),
            marks: marks(&String::from_utf8_lossy(&trace)),
            fires: self.fires(),
            survivors,
            leaked,
        }
    }

    /// All rows of an answer; none where the server's disk or its end is in the way.
    fn ask<T>(&self, question: &str) -> Vec<T>
    where
        T: for<'r> TryFrom<&'r Record<'r>, Error = rusqlite::Error>,
    {
        let ask = || {
            let store = connect(&self.data.join("job_runner.sqlite"))?;
            store.prepare(question)?.query_map((), |row| row.try_into())?.collect::<rusqlite::Result<_>>()
        };
        ask().unwrap_or_default()
    }

    fn rows(&self) -> Vec<Row> {
        type Columns = (i64, i64, i64, Option<i64>, Option<bool>, i64, bool);
        let question = "SELECT run.id, job, schedule_dts, return_dts, return_success, losses,
             run.enqueue_dts IS NULL AND NOT job.enqueue_is_enabled AND NOT is_manual
             FROM run JOIN job ON job.id = run.job";
        let row = |(id, job, due, over, success, losses, is_on_hold): Columns| Row {
            id,
            job,
            due: due.div_euclid(1_000_000),
            is_over: over.is_some(),
            success,
            losses,
            is_on_hold,
        };
        self.ask(question).into_iter().map(row).collect()
    }

    /// What is recorded of times without a run.
    fn fires(&self) -> Vec<Fire> {
        let question = "SELECT job, due, json_extract(params, '$.times') FROM fire";
        let fire = |(job, due, times): (i64, i64, Option<i64>)| {
            let times = times.and_then(|times| usize::try_from(times).ok()).unwrap_or(1);
            Fire { job, due: due.div_euclid(1_000_000), times }
        };
        self.ask(question).into_iter().map(fire).collect()
    }

    /// Everybody leaves; answers what is left of them.
    async fn leave(&mut self) -> Vec<String> {
        let mut leaked = Vec::new();
        if self.largest > MEMORY {
            leaked.push(format!("the server held {} KiB", self.largest));
        }
        for (number, worker) in self.workers.iter_mut().enumerate() {
            match worker.leave(Signal::SIGTERM, LEAVING).await {
                Some(status) if status.success() => {}
                other => leaked.push(format!("worker{number} left with {other:?}")),
            }
            leaked.extend(files_of_runs(&self.folder, &format!("worker{number}")));
        }
        match self.server.leave(Signal::SIGTERM, LEAVING).await {
            Some(status) if status.success() => {}
            other => leaked.push(format!("the server left with {other:?}")),
        }
        leaked
    }

    fn report(&self, arguments: &Arguments, history: &History, breaches: &[oracle::Breach], took: Duration) {
        for (name, count) in &self.faults {
            println!("{count:7} {name}");
        }
        println!(
            "seed {}, {} runs accepted, {} not taken, {} runs of {} jobs by schedule, {} executions, {:.0} s; the server held {} KiB",
            arguments.seed,
            self.accepted.len(),
            self.refused,
            history.rows.iter().filter(|row| !self.accepted.contains_key(&row.id) && row.is_over).count(),
            self.jobs.len(),
            history.marks.iter().filter(|mark| matches!(mark.says, Says::Begin { .. })).count(),
            took.as_secs_f64(),
            self.largest
        );
        self.complaints.iter().for_each(|complaint| println!("{complaint}"));
        breaches.iter().for_each(|breach| println!("{breach}"));
        println!("faults injected {}, {}", self.faults.values().sum::<usize>(), oracle::sum(breaches));
    }
}

/// The beginning of a text, for a line.
fn shortened(text: &str) -> String {
    text.chars().take(60).collect()
}
