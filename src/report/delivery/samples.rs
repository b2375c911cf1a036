//! Sample deliveries for tests: one in each phase, with what a test wants to vary as an argument.

use tokio::time::Instant;

use super::{Delivery, DeliveryPhase, LiveLog, LogExtent, LogReport, OutputWatch, ServerView, StartReport};

/// Log of a lasting run whose 10 bytes of output the server has, and that will report more.
pub fn quiet_log() -> LiveLog {
    let extent = LogExtent { output: 10, sent: Some(10) };
    LiveLog { extent, watch: OutputWatch::Requested, next_at: None, rejections: 0 }
}

/// Log of a lasting run with this output, of which the server has the given part.
pub fn log_of(output: u64, sent: Option<u64>) -> LiveLog {
    LiveLog { extent: LogExtent { output, sent }, ..quiet_log() }
}

pub fn not_started(output: u64) -> Delivery {
    in_phase(DeliveryPhase::NotStarted { output })
}

/// Delivery of a lasting run whose start the server has.
pub fn running(log: LiveLog) -> Delivery {
    running_with(StartReport::Accepted, log)
}

pub fn running_with(start: StartReport, log: LiveLog) -> Delivery {
    in_phase(DeliveryPhase::Running { start, log })
}

/// Delivery of a run that is over and whose start the server has.
pub fn ended(log: LogReport) -> Delivery {
    ended_with(Some(StartReport::Accepted), log, 0)
}

pub fn ended_with(start: Option<StartReport>, log: LogReport, rejections: u32) -> Delivery {
    in_phase(DeliveryPhase::Ended { start, log, extent: quiet_log().extent, rejections })
}

pub fn in_phase(phase: DeliveryPhase) -> Delivery {
    Delivery { phase, view: ServerView::Assumed }
}

pub fn viewed(view: ServerView, delivery: Delivery) -> Delivery {
    Delivery { view, ..delivery }
}

/// One start report of each kind: not tried, rejected once, left out until the instant, and accepted.
pub fn start_reports(retry_at: Instant) -> [StartReport; 4] {
    [
        StartReport::FIRST,
        StartReport::Due { rejections: 1, retry_at: Some(retry_at) },
        StartReport::Due { rejections: 3, retry_at: Some(retry_at) },
        StartReport::Accepted,
    ]
}

/// One delivery in each phase, and in each state of the reports within it.
pub fn phases(retry_at: Instant) -> Vec<(&'static str, Delivery)> {
    let rejected = |rejections| StartReport::Due { rejections, retry_at: Some(retry_at) };
    vec![
        ("not started", not_started(10)),
        ("start due", running_with(StartReport::FIRST, quiet_log())),
        ("start rejected, live log rejected", running_with(rejected(3), LiveLog { rejections: 2, ..log_of(20, None) })),
        ("running", running(log_of(20, Some(10)))),
        ("over, never started", ended_with(None, LogReport::Due { rejections: 0 }, 0)),
        ("over, start due", ended_with(Some(rejected(1)), LogReport::Due { rejections: 0 }, 0)),
        ("over, start and log left out", ended_with(Some(rejected(3)), LogReport::Due { rejections: 3 }, 1)),
        ("over, log due", ended(LogReport::Due { rejections: 1 })),
        ("over, log accepted, read", viewed(ServerView::Fresh, ended(LogReport::Accepted))),
        ("over, log accepted, doubtful", viewed(ServerView::Doubtful, ended(LogReport::Accepted))),
        ("given back", in_phase(DeliveryPhase::GivenBack { rejections: 0 })),
        ("refused, not over", in_phase(DeliveryPhase::Refused)),
        ("late result", in_phase(DeliveryPhase::LateResult { rejections: 0 })),
        ("abandoned", in_phase(DeliveryPhase::Abandoned)),
        ("done", in_phase(DeliveryPhase::Done)),
    ]
}
