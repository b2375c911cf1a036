use super::*;

fn run(id: i64) -> RunId {
    RunId::new(id).unwrap()
}

#[test]
fn each_piece_of_news_is_something_to_look_at_once() {
    let mut agenda = Agenda::default();
    let kill = |id| KillId::new(id).unwrap();
    let job = JobId::new(6).unwrap();
    for item in [
        Change::RunScheduled(run(1)),
        Change::RunScheduled(run(1)),
        Change::RunEnqueued(run(2)),
        Change::RunStarted(run(2)),
        Change::RunReturned(run(2)),
        Change::RunGivenBack(run(3)),
        Change::RunLog(run(4), 70),
        Change::KillRequested(kill(5)),
        Change::KillTaken(kill(5)),
        Change::KillExecuted(kill(7)),
        Change::JobChanged(job),
        Change::CatalogueChanged,
        Change::FarmChanged,
    ] {
        assert!(agenda.note(ChangeNotice::Item(item)));
    }
    let wanted = Agenda {
        must_reread_all: false,
        workers: true,
        due: false,
        plans: true,
        has_free_slots: true,
        jobs: [job].into(),
        changed: [job].into(),
        runs: [run(1), run(2), run(3)].into(),
        claimed: [run(2)].into(),
        started: [run(2)].into(),
        ended: [run(2), run(3)].into(),
        requested_kills: [kill(5)].into(),
        taken_kills: [kill(5), kill(7)].into(),
        arrived: Vec::new(),
    };
    assert_eq!(agenda, wanted);
}

#[test]
fn whoever_missed_something_looks_at_everything() {
    let mut agenda = Agenda::default();
    assert!(agenda.note(ChangeNotice::Missed));
    assert_eq!(agenda, Agenda { must_reread_all: true, ..Agenda::default() });
    assert!(!agenda.note(ChangeNotice::Closed));
}
