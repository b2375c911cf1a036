//! The nonces of the last minutes: what was signed once is not taken twice. Pure.

use std::collections::{HashSet, VecDeque};

use crate::server::model::WorkerId;
use crate::wire::uplink::MAX_SKEW;

#[cfg(test)]
mod tests;

/// How many are remembered of one worker: one that connects more often than this in ten minutes waits.
const OF_ONE: usize = 1000;

/// What was used.
#[derive(Debug, Default)]
pub struct Nonces {
    used: HashSet<(WorkerId, String)>,
    /// By when it was used, the oldest first.
    order: VecDeque<(i64, WorkerId, String)>,
}

impl Nonces {
    /// Uses a nonce that was signed at `ts`; both times are seconds since 1970. False if it is too old, from the future or
    /// used.
    pub fn note(&mut self, worker: WorkerId, nonce: &str, ts: i64, now: i64) -> bool {
        if ts.abs_diff(now) > MAX_SKEW.unsigned_abs() {
            return false;
        }
        // What was signed in the future can be used until it is in the past.
        while let Some((_, worker, nonce)) = self.order.pop_front_if(|(at, ..)| now.saturating_sub(*at) > 2 * MAX_SKEW)
        {
            self.used.remove(&(worker, nonce));
        }
        let of_one = self.order.iter().filter(|(_, of, _)| *of == worker).count();
        if of_one >= OF_ONE || !self.used.insert((worker, nonce.to_owned())) {
            return false;
        }
        self.order.push_back((now, worker, nonce.to_owned()));
        true
    }
}
