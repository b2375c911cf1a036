//! What is measured. Each file is one thing that a worker or a server does; each function does it once, checks that it was done
//! right, and answers its figures.

mod abuse;
mod backlog;
mod crowd;
mod drain;
mod endurance;
mod idle;
mod kill;
mod latency;
mod output;
mod own_crowd;
mod own_farm;
mod own_load;
mod own_requests;
mod own_worker;
mod sleepers;
mod start;
mod throughput;

use std::path::PathBuf;
use std::time::Duration;

use super::arguments::Arguments;
use super::failure::Failure;
use super::figures::Sample;
use super::stage::{Setting, Stage};
use super::stub::Slowness;
use super::worker::Make;

/// What there is to measure.
pub const NAMES: &[&str] = &[
    "throughput4",
    "throughput64",
    "throughput256",
    "own_throughput",
    "latency",
    "own_latency",
    "slow_server",
    "sleepers",
    "output",
    "kill",
    "drain",
    "start",
    "idle",
    "crowd",
    "endurance",
    "backlog",
    "own_two_workers",
    "own_postgres",
    "own_crowd",
    "own_workers1",
    "own_workers10",
    "own_workers100",
    "own_workers1000",
    "own_history3",
    "own_history4",
    "own_history5",
    "own_history6",
    "own_job_history0",
    "own_job_history5",
    "own_requests3",
    "own_requests6",
    "own_start",
    "own_herd3",
    "own_herd4",
    "own_chain",
    "own_day",
    "own_farm_polling",
    "own_farm_tasks",
    "abuse_silence",
    "abuse_heads",
    "abuse_login",
    "abuse_unsigned",
    "abuse_pages",
    "abuse_uplink",
    "abuse_frames",
    "abuse_strangers",
    "abuse_repeats",
    "abuse_templates",
];

/// Who is measured, and how thoroughly.
#[derive(Clone, Debug)]
pub struct Subject {
    make: Make,
    server: PathBuf,
    quick: bool,
}

impl Subject {
    pub fn new(make: Make, arguments: &Arguments) -> Self {
        Self { make, server: arguments.server.clone(), quick: arguments.quick || arguments.smoke }
    }

    fn is_original(&self) -> bool {
        matches!(self.make, Make::Original(_))
    }

    /// How many of something: as a rule, quickly, and of the original, which is slower by an order of magnitude.
    fn count(&self, rule: usize, quick: usize, original: usize) -> usize {
        match (self.is_original(), self.quick) {
            (true, _) => original,
            (false, true) => quick,
            (false, false) => rule,
        }
    }

    /// A stage whose worker has executed a run.
    async fn stage(&self, seats: usize, slowness: Option<Slowness>) -> Result<Stage, Failure> {
        let stage = Stage::set(Setting { make: &self.make, seats, slowness }).await?;
        stage.warm_up().await?;
        Ok(stage)
    }
}

/// Whether the original can be put through it in reasonable time.
pub fn suits_original(name: &str) -> bool {
    !name.starts_with("own_") && !name.starts_with("abuse_") && !["crowd", "endurance", "backlog"].contains(&name)
}

/// Does it once.
pub async fn measure(name: &str, subject: &Subject) -> Result<Sample, Failure> {
    const SLOW: Slowness = Slowness { a_call: Duration::from_millis(10), at_once: 8 };
    match name {
        "throughput4" => throughput::burst(subject, 4, None).await,
        "throughput64" => throughput::burst(subject, 64, None).await,
        "throughput256" => throughput::burst(subject, 256, None).await,
        "own_throughput" => own_worker::burst(subject, 1, 64).await,
        "own_latency" => own_worker::one_by_one(subject).await,
        "own_two_workers" => own_worker::burst(subject, 2, 64).await,
        "own_postgres" => own_worker::engines(subject).await,
        "own_crowd" => own_crowd::due_among_many(subject).await,
        "own_workers1" => own_crowd::paced_and_at_once(subject, 1, 0).await,
        "own_workers10" => own_crowd::paced_and_at_once(subject, 10, 0).await,
        "own_workers100" => own_crowd::paced_and_at_once(subject, 100, 0).await,
        "own_workers1000" => own_crowd::paced_and_at_once(subject, 1000, 0).await,
        "own_history3" => own_crowd::paced_and_at_once(subject, 10, 1000).await,
        "own_history4" => own_crowd::paced_and_at_once(subject, 10, 10_000).await,
        "own_history5" => own_crowd::paced_and_at_once(subject, 10, 100_000).await,
        "own_history6" => own_crowd::paced_and_at_once(subject, 10, 1_000_000).await,
        "own_job_history0" => own_load::of_one_job(subject, 0).await,
        "own_job_history5" => own_load::of_one_job(subject, 100_000).await,
        "own_requests3" => own_requests::after(subject, 1000).await,
        "own_requests6" => own_requests::after(subject, 1_000_000).await,
        "own_start" => own_load::start(subject, 10_000).await,
        "own_herd3" => own_load::herd(subject, 1000).await,
        "own_herd4" => own_load::herd(subject, 10_000).await,
        "own_chain" => own_load::chain(subject).await,
        "own_day" => own_load::day(subject).await,
        "own_farm_polling" => own_farm::polling(subject).await,
        "own_farm_tasks" => own_farm::no_ops(subject).await,
        "latency" => latency::one_by_one(subject).await,
        "slow_server" => throughput::burst(subject, 64, Some(SLOW)).await,
        "sleepers" => sleepers::side_by_side(subject).await,
        "output" => output::much(subject).await,
        "kill" => kill::trees(subject).await,
        "drain" => drain::last_words(subject).await,
        "start" => start::answers(subject).await,
        "crowd" => crowd::at_once(subject).await,
        "endurance" => endurance::in_a_row(subject).await,
        "backlog" => backlog::undelivered(subject).await,
        "idle" => idle::does_nothing(subject).await,
        case if abuse::CASES.contains(&case) => abuse::of(case, subject).await,
        _ => Err(Failure(format!("nothing is called {name}"))),
    }
}
