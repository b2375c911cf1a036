//! The campaign of a fleet: servers at one database that are killed in turn and started again, a PostgreSQL that is stopped
//! and killed, workers that reach them through a forwarder, and a steady load. Judged is what the scripts say of themselves
//! and what the database has in the end.

mod database;
mod forwarder;
mod hand_over;
pub mod oracle;
mod plan;
mod report;
mod stage;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use chrono::Utc;
use serde_json::json;

use crate::arguments::Arguments;
use crate::oracle::history::Mark;
use crate::script::{TRACE, marks};
use crate::server::oracle::{Expected, Fire, Job};
use crate::server::stage::{LOOK, survivors};
use crate::support::{end_everything_marked, skip};
use database::{Database, Known};
use hand_over::{Hands, Load, Outcome};
use oracle::Span;
use plan::{Death, Kill, Plan};
use stage::Stage;

/// How many jobs are due by themselves; and where only the server that dispatches is killed.
const JOBS: usize = 16;
const JOBS_UNDER_KILLS: usize = 100;
/// How long the server may take to come to a named point.
const PASSING: Duration = Duration::from_secs(3);
/// After which share of the runs PostgreSQL is stopped, and killed, in percent.
const STOPPED_AT: usize = 40;
const KILLED_AT: usize = 75;
/// How long after the last fault everything must be over.
const SETTLING: Duration = Duration::from_secs(120);
/// How long nothing may be accepted, while the database is there, before that is the end.
const DEAF: Duration = Duration::from_secs(90);
/// How long after the database is back a server may still end because of it.
const RECOVERY: Duration = Duration::from_secs(10);

/// What is done to PostgreSQL, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outage {
    /// It is to be stopped.
    Before,
    /// It is stopped until then.
    Stopped(Instant),
    /// It was stopped, and is to be killed.
    Between,
    /// Nothing more happens to it.
    Over,
}

/// A server that was killed.
#[derive(Clone, Copy, Debug)]
struct Killed {
    at: f64,
    /// Whether it dispatched.
    dispatched: bool,
}

/// Everything that was seen.
struct Seen {
    outcome: Outcome,
    jobs: Vec<Job>,
    runs: Vec<Known>,
    fires: Vec<Fire>,
    marks: Vec<Mark>,
    survivors: Vec<String>,
    leaked: Vec<String>,
}

struct Campaign<'a> {
    arguments: &'a Arguments,
    plan: Plan,
    stage: Stage,
    hands: Hands,
    jobs: Vec<Job>,
    outage: Outage,
    /// When PostgreSQL was away.
    away: Vec<Span>,
    /// When it came back last.
    back: Option<Instant>,
    kills: Vec<Killed>,
    faults: BTreeMap<String, usize>,
    complaints: Vec<String>,
}

/// Runs it, prints what came of it, and answers whether all was well.
pub async fn campaign(arguments: &Arguments) -> bool {
    let since = Instant::now();
    let mut folder = tempfile::TempDir::with_prefix("job-runner-campaign-").expect("a temporary folder");
    let stage = match Stage::begin(arguments, folder.path()).await {
        Ok(stage) => stage,
        Err(why) => {
            end_everything_marked(folder.path());
            skip(&format!("the campaign of a fleet: {why}"));
            return std::env::var("JOB_RUNNER_REQUIRE_INTEROP").is_err();
        }
    };
    let mut campaign = Campaign::begin(arguments, stage).await;
    campaign.rage().await;
    let seen = campaign.end().await;
    let well = campaign.report(&seen, since.elapsed());
    if arguments.keep || !well {
        folder.disable_cleanup(true);
        println!("traces, logs and an SQLite database: {}", folder.path().display());
        if let Database::Postgres(postgres) = &mut campaign.stage.database {
            println!("PostgreSQL's: {}", postgres.keep().display());
        }
    }
    drop(campaign);
    end_everything_marked(folder.path());
    well
}

impl<'a> Campaign<'a> {
    async fn begin(arguments: &'a Arguments, stage: Stage) -> Self {
        let under_kills = arguments.fleet.kills.is_some();
        let plan = if under_kills {
            Plan::of_kills(arguments.seed, JOBS_UNDER_KILLS)
        } else {
            Plan::of_faults(arguments.seed, JOBS)
        };
        let script = script(&stage.folder, !under_kills);
        let mut complaints = Vec::new();
        let jobs = make_jobs(&stage, &plan, &script, &mut complaints).await;
        let load = Load {
            script,
            rate: arguments.fleet.rate,
            runs: if under_kills { usize::MAX } else { arguments.runs },
            has_own_titles: !under_kills,
        };
        let hands = Hands::begin(stage.operator.to, &stage.operator.token, &load);
        let outage = match &stage.database {
            Database::Postgres(_) if !under_kills => Outage::Before,
            _ => Outage::Over,
        };
        Self {
            arguments,
            plan,
            stage,
            hands,
            jobs,
            outage,
            away: Vec::new(),
            back: None,
            kills: Vec::new(),
            faults: BTreeMap::new(),
            complaints,
        }
    }

    /// Does what the plan says, until all is handed over.
    async fn rage(&mut self) {
        let mut kill = self.next_kill();
        let mut due = Instant::now() + kill.after;
        while !self.hands.are_done() || !matches!(self.outage, Outage::Over) {
            if Instant::now() >= due {
                self.kill(kill).await;
                kill = self.next_kill();
                due += kill.after;
            }
            self.disturb_database().await;
            self.revive();
            if self.arguments.fleet.kills.is_some_and(|kills| self.kills.len() > kills) {
                self.hands.stop();
            }
            if self.is_deaf() {
                self.complaints.push(format!("nothing is accepted for {DEAF:?}"));
                self.hands.stop();
                break;
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    fn next_kill(&mut self) -> Kill {
        self.plan.next_kill(self.stage.servers.len(), self.arguments.fleet.every)
    }

    async fn kill(&mut self, kill: Kill) {
        let dispatcher = self.stage.dispatcher();
        // Where only the server that dispatches is killed, it may be unknown for the moment: then it is asked for again.
        let under_kills = self.arguments.fleet.kills;
        let victim = if under_kills.is_some() { dispatcher } else { Some(kill.server) };
        let Some(victim) = victim else { return };
        // The last kill has its aftermath, and no kill after it.
        if under_kills.is_some_and(|kills| self.kills.len() >= kills) {
            self.kills.push(Killed { at: now(), dispatched: false });
            return;
        }
        let server = &mut self.stage.servers[victim];
        if server.lives.ended().is_some() {
            return;
        }
        let (came, at) = match kill.death {
            Death::AtRandom => {
                let at = now();
                server.lives.kill();
                (None, Some(at))
            }
            Death::AtPoint(point, passing) => match server.lives.die_at(point, passing, PASSING).await {
                true => (Some(point), server.lives.died_at()),
                false => (None, None),
            },
        };
        server.is_killed = true;
        self.kills.push(Killed { at: at.unwrap_or_else(now), dispatched: dispatcher == Some(victim) });
        self.count(came.map_or_else(|| "server SIGKILL".to_owned(), |point| format!("server died at {point:?}")));
        self.revive();
    }

    fn count(&mut self, fault: String) {
        *self.faults.entry(fault).or_default() += 1;
    }

    fn revive(&mut self) {
        for server in self.stage.revive() {
            let excused = self.back.is_some_and(|back| back.elapsed() < RECOVERY) || self.is_away();
            if excused {
                self.count("server ended without its database, and was started again".to_owned());
            } else {
                self.complaints.push(format!("server{server} ended by itself"));
            }
        }
    }

    fn is_away(&self) -> bool {
        matches!(self.outage, Outage::Stopped(_))
    }

    fn is_deaf(&self) -> bool {
        let last = self.hands.outcome().last;
        let since = [last, self.back].into_iter().flatten().max();
        !self.hands.are_done() && !self.is_away() && since.is_some_and(|since| since.elapsed() > DEAF)
    }

    /// Stops PostgreSQL, starts it again, kills it, each at its time.
    async fn disturb_database(&mut self) {
        let share = self.hands.accepted() * 100 / self.arguments.runs.max(1);
        match self.outage {
            Outage::Before if share >= STOPPED_AT => {
                self.count(format!("PostgreSQL stopped for {} s", self.arguments.fleet.away.as_secs()));
                self.away.push(Span { from: now(), to: f64::INFINITY });
                if let Database::Postgres(postgres) = &mut self.stage.database
                    && !postgres.stop().await
                {
                    self.complaints.push("PostgreSQL did not stop in order, and was killed".to_owned());
                }
                self.outage = Outage::Stopped(Instant::now() + self.arguments.fleet.away);
            }
            Outage::Stopped(until) if Instant::now() >= until => {
                self.start_database().await;
                self.outage = Outage::Between;
            }
            Outage::Between if share >= KILLED_AT => {
                self.count("PostgreSQL SIGKILL".to_owned());
                self.away.push(Span { from: now(), to: f64::INFINITY });
                if let Database::Postgres(postgres) = &mut self.stage.database {
                    postgres.kill();
                }
                self.start_database().await;
                self.outage = Outage::Over;
            }
            _ => {}
        }
    }

    async fn start_database(&mut self) {
        if let Database::Postgres(postgres) = &mut self.stage.database
            && let Err(why) = postgres.start().await
        {
            self.complaints.push(why);
        }
        if let Some(away) = self.away.last_mut() {
            away.to = now();
        }
        self.back = Some(Instant::now());
    }

    /// No more faults: waits until all is over, lets everybody leave, and gathers what was seen.
    async fn end(&mut self) -> Seen {
        let until = Instant::now() + SETTLING;
        while !self.hands.are_done() && Instant::now() < until {
            self.revive();
            tokio::time::sleep(LOOK).await;
        }
        for job in 0..self.jobs.len() {
            let path = format!("/operator/v1/jobs/{}/disable", self.jobs[job].id);
            self.jobs[job].to = Utc::now().timestamp();
            let refused = |answer: Option<(u16, _)>| answer.is_none_or(|(status, _)| status >= 500);
            while refused(self.stage.operator.ask("POST", &path, Some(&json!({})))) && Instant::now() < until {
                self.revive();
                tokio::time::sleep(LOOK).await;
            }
        }
        while self.stage.database.open_runs() != Some(0) && Instant::now() < until {
            self.revive();
            tokio::time::sleep(LOOK * 10).await;
        }
        let survivors = survivors(&self.stage.folder);
        let mut leaked = self.stage.dead_workers();
        leaked.extend(self.stage.leave().await);
        let trace = fs::read(self.stage.folder.join(TRACE)).unwrap_or_default();
        let (runs, fires) = (self.stage.database.runs(), self.stage.database.fires());
        if runs.is_none() || fires.is_none() {
            self.complaints.push("the database does not say what it has".to_owned());
        }
        Seen {
            outcome: self.hands.outcome(),
            jobs: self.jobs.clone(),
            runs: runs.unwrap_or_default(),
            fires: fires.unwrap_or_default(),
            marks: marks(&String::from_utf8_lossy(&trace)),
            survivors,
            leaked,
        }
    }
}

async fn make_jobs(stage: &Stage, plan: &Plan, script: &str, complaints: &mut Vec<String>) -> Vec<Job> {
    let mut jobs = Vec::new();
    for (number, job) in plan.jobs.iter().enumerate() {
        let new = json!({
            "title": format!("job{number}"), "script": script, "cron": job.cron(), "zone": "UTC",
            "concurrency": job.concurrency,
        });
        let made = stage.operator.insist("/operator/v1/jobs", &new).await;
        // A time that follows at once may have passed before the job is planned.
        let from = Utc::now().timestamp() + 3;
        match made.and_then(|made| made["id"].as_i64()) {
            Some(id) => {
                let (step, phase) = (i64::from(job.step), i64::from(job.phase));
                jobs.push(Job { id, expected: Expected::Success(true), step, phase, from, to: i64::MAX });
            }
            None => complaints.push(format!("job{number} was refused")),
        }
    }
    jobs
}

/// A script that marks when it begins and ends, as those of the other campaigns do, and takes some time if so wanted.
fn script(folder: &Path, takes_time: bool) -> String {
    let folder = folder.display();
    let pause = if takes_time { "sleep 0.$((RANDOM % 4))\n" } else { "" };
    format!(
        "#!/bin/bash\n\
         mark() {{ echo \"$1 $JOB_RUNNER_RUN_ID ${{JOB_RUNNER_ATTEMPT:-1}} $EPOCHREALTIME 0\" >>{folder}/{TRACE}; }}\n\
         mark S\n{pause}mark E\n"
    )
}

/// Now, in seconds since the epoch.
fn now() -> f64 {
    Utc::now().timestamp_micros() as f64 / 1e6
}
