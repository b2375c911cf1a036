//! What is measured. Each file is one thing that a worker or a server does; each function does it once, checks that it was done
//! right, and answers its figures.

mod drain;
mod idle;
mod kill;
mod latency;
mod output;
mod sleepers;
mod start;
mod throughput;

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
    "latency",
    "slow_server",
    "sleepers",
    "output",
    "kill",
    "drain",
    "start",
    "idle",
];

/// Who is measured, and how thoroughly.
#[derive(Clone, Debug)]
pub struct Subject {
    make: Make,
    quick: bool,
}

impl Subject {
    pub fn new(make: Make, arguments: &Arguments) -> Self {
        Self { make, quick: arguments.quick }
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
    !name.contains("own_")
}

/// Does it once.
pub async fn measure(name: &str, subject: &Subject) -> Result<Sample, Failure> {
    const SLOW: Slowness = Slowness { a_call: Duration::from_millis(10), at_once: 8 };
    match name {
        "throughput4" => throughput::burst(subject, 4, None).await,
        "throughput64" => throughput::burst(subject, 64, None).await,
        "throughput256" => throughput::burst(subject, 256, None).await,
        "latency" => latency::one_by_one(subject).await,
        "slow_server" => throughput::burst(subject, 64, Some(SLOW)).await,
        "sleepers" => sleepers::side_by_side(subject).await,
        "output" => output::much(subject).await,
        "kill" => kill::trees(subject).await,
        "drain" => drain::last_words(subject).await,
        "start" => start::answers(subject).await,
        "idle" => idle::does_nothing(subject).await,
        _ => Err(Failure(format!("nothing is called {name}"))),
    }
}
