//! From the start of the process to the first answer.

use super::Subject;
use crate::failure::Failure;
use crate::figures::{Sample, quantile, sorted};
use crate::stage::{Setting, Stage};

pub async fn answers(subject: &Subject) -> Result<Sample, Failure> {
    let mut times = Vec::new();
    for _ in 0..subject.count(7, 3, 2) {
        let stage = Stage::set(Setting { make: &subject.make, seats: 4, slowness: None }).await?;
        times.push(stage.answered_after.as_secs_f64() * 1e3);
    }
    Ok(vec![("answered", quantile(&sorted(&times), 0.5).unwrap_or(f64::NAN))])
}
