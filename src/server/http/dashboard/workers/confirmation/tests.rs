use std::collections::BTreeSet;

use super::Confirmation;
use crate::run::{Pace, WorkerCommand};
use crate::server::domain::model::WorkerId;
use crate::server::http::dashboard::workers::sample::{now, worker};
use crate::server::http::dashboard::workers::view::WorkersPage;
use crate::server::store::CommandRequest;

fn words(all: i64, chosen: i64, action: WorkerCommand, pace: Pace) -> Option<String> {
    let workers = (1..=all).map(|id| worker(id, &format!("web{id}"), |_| {})).collect();
    let page =
        WorkersPage { workers, unlisted: 0, pools: Vec::new(), runs: Vec::new(), silent: BTreeSet::new(), now: now() };
    let chosen: Vec<WorkerId> = (1..=chosen).filter_map(WorkerId::new).collect();
    let command = CommandRequest { action, pace, by: "operator".to_owned(), reason: String::new() };
    Confirmation::of(&page, &chosen, &command).map(|confirmation| confirmation.words)
}

#[test]
fn what_stops_all_workers_or_many_asks_for_its_words() {
    use Pace::{AfterRuns, Now};
    use WorkerCommand::{Restart, Shutdown, Sleep, Wake};
    assert_eq!(words(3, 3, Shutdown, Now).as_deref(), Some("shut down 3 workers"));
    assert_eq!(words(3, 3, Shutdown, AfterRuns).as_deref(), Some("shut down 3 workers"));
    assert_eq!(words(3, 3, Sleep, Now).as_deref(), Some("sleep 3 workers"));
    assert_eq!(words(30, 10, Restart, Now).as_deref(), Some("restart 10 workers"));
    for (all, chosen, action, pace) in [
        (3, 2, Shutdown, Now),
        (1, 1, Shutdown, Now),
        (3, 3, Sleep, AfterRuns),
        (30, 30, Wake, Now),
        (30, 9, Restart, Now),
    ] {
        assert_eq!(words(all, chosen, action, pace), None, "{all} {chosen} {action:?} {pace:?}");
    }
}
