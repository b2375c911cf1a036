//! Cron expressions: one that is accepted has next times in order, within a bounded time, and words.
//!
//! The first byte chooses the zone, the next four the time; the rest is the expression.

#![no_main]

use chrono::{DateTime, TimeDelta};
use chrono_tz::{TZ_VARIANTS, Tz};
use jobrunner::server::domain::model::Schedule;
use jobrunner::server::domain::schedule::{Rule, check_cron, in_words, preview};
use libfuzzer_sys::{Corpus, fuzz_target};

/// How many next times are looked for.
const TIMES: usize = 5;

fuzz_target!(|data: &[u8]| -> Corpus {
    let [zone, a, b, c, d, expression @ ..] = data else { return Corpus::Reject };
    let Ok(expression) = str::from_utf8(expression) else { return Corpus::Reject };
    let zone: Tz = TZ_VARIANTS[usize::from(*zone) * TZ_VARIANTS.len() / 256];
    let now = DateTime::UNIX_EPOCH + TimeDelta::seconds(u32::from_be_bytes([*a, *b, *c, *d]).into());
    let schedule = Schedule::Cron { expression: expression.to_owned(), zone };
    let _ = in_words(&schedule);
    if check_cron(expression).is_err() {
        return Corpus::Keep;
    }
    let mut before = now - TimeDelta::microseconds(1);
    for next in preview(Rule { schedule: &schedule, excludes: &[], zone }, None, now, TIMES) {
        assert!(next.at > before, "{expression:?} in {zone}: {} after {before}", next.at);
        before = next.at;
    }
    Corpus::Keep
});
