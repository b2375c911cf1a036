//! The figures of all repeats, and what is drawn from them. Pure.

use std::collections::BTreeMap;

/// What one repeat of a scenario came to: figures by their names.
pub type Sample = Vec<(&'static str, f64)>;

/// The figures of all repeats, by scenario and name.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    values: BTreeMap<String, Vec<f64>>,
    /// What came to nothing, and why.
    pub failures: Vec<String>,
}

/// A figure of several repeats.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    pub median: f64,
    pub min: f64,
    pub max: f64,
}

impl Figures {
    pub fn add(&mut self, scenario: &str, sample: Sample) {
        for (name, value) in sample {
            self.values.entry(format!("{scenario}.{name}")).or_default().push(value);
        }
    }

    /// All values of a figure, in the order of the repeats.
    pub fn all(&self) -> &BTreeMap<String, Vec<f64>> {
        &self.values
    }

    /// A figure, where there is one.
    pub fn summary(&self, key: &str) -> Option<Summary> {
        let values = self.values.get(key)?;
        let sorted = sorted(values);
        Some(Summary { median: quantile(&sorted, 0.5)?, min: *sorted.first()?, max: *sorted.last()? })
    }
}

/// From the smallest to the largest.
pub fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

/// The smallest value that is not less than this part of all; they are sorted.
pub fn quantile(sorted: &[f64], part: f64) -> Option<f64> {
    let rank = (sorted.len() as f64 * part).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied()
}
