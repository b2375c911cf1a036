use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{MAX, PeerMessage};
use crate::run::{ApiKey, KillId, Order, RunId};
use crate::server::domain::model::{JobId, WorkerId};
use crate::server::domain::schedule::due_decision::WaitReason;
use crate::server::domain::wait_reasons::WaitReasons;
use crate::server::domain::worker_state::NotTakingRuns;

fn worker() -> WorkerId {
    WorkerId::new(7).expect("an id")
}

fn run(id: i64) -> RunId {
    RunId::new(id).expect("an id")
}

#[test]
fn every_message_arrives_as_it_was_sent() {
    let key = || ApiKey::parse("worker-\"one\"\\").expect("a key");
    let unready = vec![("nöté \"1\"".to_owned(), NotTakingRuns::Silent), ("2".to_owned(), NotTakingRuns::Disabled)];
    let waits = BTreeMap::from([
        (run(1), WaitReasons::from(WaitReason::Active(run(9)))),
        (run(2), WaitReasons { reason: WaitReason::NobodyTakes, unready, more: 3 }),
    ]);
    for message in [
        PeerMessage::Order(key(), Order::Enqueue(run(5))),
        PeerMessage::Order(key(), Order::Kill(KillId::new(6).expect("an id"))),
        PeerMessage::Order(key(), Order::Ping),
        PeerMessage::Order(key(), Order::Attend),
        PeerMessage::Arrived(key()),
        PeerMessage::Waits(JobId::new(3).expect("an id"), waits),
        PeerMessage::Waits(JobId::new(3).expect("an id"), BTreeMap::new()),
        PeerMessage::Silent(worker(), true),
        PeerMessage::DispatcherChanged,
        PeerMessage::TellAgain,
        PeerMessage::InstanceChanged(worker()),
        PeerMessage::InstanceHeard(worker(), "0".repeat(32)),
        PeerMessage::LoggedOut,
        PeerMessage::LeaseFree,
    ] {
        assert_eq!(PeerMessage::decode(&message.encode()), Some(message));
    }
}

#[test]
fn a_message_of_a_later_version_is_passed_over() {
    for text in ["", "{}", "\"later\"", "{\"later\":[1]}", "{\"silent\":[0,true]}", "{\"order\":[\"k\",\"{}\"]}"] {
        assert_eq!(PeerMessage::decode(text), None, "{text}");
    }
}

proptest! {
    #[test]
    fn a_job_with_many_waiting_runs_fits_in_one_message(
        runs in 0_i64..2000, titles in prop::collection::vec(".{0,200}", 0..8),
    ) {
        let unready: Vec<_> = titles.into_iter().map(|title| (title, NotTakingRuns::Silent)).collect();
        let reasons = WaitReasons { reason: WaitReason::NobodyTakes, unready, more: 0 };
        let waits: BTreeMap<_, _> = (1..=runs).map(|id| (run(id), reasons.clone())).collect();
        let encoded = PeerMessage::Waits(JobId::new(1).expect("an id"), waits.clone()).encode();
        prop_assert!(encoded.len() <= MAX);
        let Some(PeerMessage::Waits(_, decoded)) = PeerMessage::decode(&encoded) else { panic!("{encoded}") };
        prop_assert!(decoded.iter().all(|(run, reasons)| waits.get(run) == Some(reasons)));
        prop_assert!(decoded.len() == waits.len() || encoded.len() > MAX / 3);
    }
}
