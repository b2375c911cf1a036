use super::*;
use crate::run::WorkerCommand;
use crate::run::lack::Lack;
use crate::server::domain::schedule::due_decision::WaitReason;
use crate::server::domain::worker_state::NotTakingRuns;

fn job(id: i64) -> JobId {
    JobId::new(id).unwrap()
}

fn run(id: i64) -> RunId {
    RunId::new(id).unwrap()
}

fn low(left: u64) -> WaitReasons {
    let held = NotTakingRuns::Held(vec![Lack::Bytes("state_path".into(), left), Lack::Descriptors(3)]);
    let unready = vec![("web1".to_owned(), NotTakingRuns::Asleep), ("web2".to_owned(), held)];
    WaitReasons { reason: WaitReason::NobodyTakes, unready, more: 0 }
}

#[test]
fn a_reason_is_told_with_those_of_the_workers() {
    assert_eq!(
        low(7).to_string(),
        "no worker of the pool takes new runs for now: web1 sleeps, web2 claims no runs: 7 bytes are free where state_path is; \
         3 more files can be opened"
    );
    let mut many = WaitReasons { more: 92, ..low(7) };
    many.unready = vec![("web1".to_owned(), NotTakingRuns::Asked(WorkerCommand::Sleep))];
    assert_eq!(
        many.to_string(),
        "no worker of the pool takes new runs for now: web1 is asked to sleep and 92 more take none"
    );
}

#[test]
fn what_has_changed_is_told_and_how_much_is_left_is_no_change() {
    let waiting = WaitingRuns::default();
    assert_eq!(waiting.update(job(1), BTreeMap::from([(run(1), low(7))])), [run(1)]);
    assert_eq!(waiting.update(job(1), BTreeMap::from([(run(1), low(6))])), []);
    assert_eq!(waiting.of(job(1), run(1)), Some(low(6)), "it is known all the same");
    let asleep = WaitReasons { reason: WaitReason::EverybodyRests, ..low(6) };
    assert_eq!(waiting.update(job(1), BTreeMap::from([(run(1), asleep.clone()), (run(2), asleep)])), [run(1), run(2)]);
    assert_eq!(waiting.update(job(2), BTreeMap::new()), []);
    assert_eq!(waiting.update(job(1), BTreeMap::new()), [run(1), run(2)]);
    assert_eq!(waiting.of(job(1), run(1)), None);
}
