//! Cron expressions: one that is accepted has next times in order, within a bounded time, and words.
//!
//! The first byte chooses the zone, the next four the time; the rest is the expression.

#![no_main]

use chrono::{DateTime, TimeDelta};
use chrono_tz::{TZ_VARIANTS, Tz};
use jobrunner::server::domain::model::Schedule;
use jobrunner::server::domain::schedule::{Cron, Rule, in_words, preview};
use libfuzzer_sys::{Corpus, fuzz_target};

/// How many next times are looked for.
const TIMES: usize = 5;

fuzz_target!(|data: &[u8]| -> Corpus {
    let [zone, a, b, c, d, expression @ ..] = data else { return Corpus::Reject };
    let Ok(expression) = str::from_utf8(expression) else { return Corpus::Reject };
    let zone: Tz = TZ_VARIANTS[usize::from(*zone) * TZ_VARIANTS.len() / 256];
    let now = DateTime::UNIX_EPOCH + TimeDelta::seconds(u32::from_be_bytes([*a, *b, *c, *d]).into());
    let accepted = Cron::new(expression);
    // An expression that is refused may be in a store of an earlier version.
    let cron = accepted.as_ref().map_or_else(|_| Cron::stored(expression.to_owned()), Clone::clone);
    let schedule = Schedule::Cron { expression: cron, zone };
    let _ = in_words(&schedule);
    if accepted.is_err() {
        return Corpus::Keep;
    }
    let mut before = now - TimeDelta::microseconds(1);
    for next in preview(Rule { schedule: &schedule, excludes: &[], zone }, None, now, TIMES) {
        assert!(next.at > before, "{expression:?} in {zone}: {} after {before}", next.at);
        before = next.at;
    }
    Corpus::Keep
});
