use super::told;
use crate::run::{KillId, RunId};
use crate::server::domain::model::{JobId, WorkerId};
use crate::server::link::events::event_of;
use crate::server::store::changes::Change;
use crate::wire::event;

#[test]
fn every_piece_of_news_has_its_words() {
    let run = RunId::new(3).expect("an id");
    let kill = KillId::new(4).expect("an id");
    let items = [
        Change::RunScheduled(run),
        Change::RunEnqueued(run),
        Change::RunGivenBack(run),
        Change::RunStarted(run),
        Change::RunLog(run, 70),
        Change::RunReturned(run),
        Change::KillRequested(kill),
        Change::KillTaken(kill),
        Change::KillExecuted(kill),
        Change::JobChanged(JobId::new(5).expect("an id")),
        Change::WorkerChanged(WorkerId::new(6).expect("an id")),
        Change::CatalogueChanged,
        Change::FarmChanged,
    ];
    let lines: Vec<String> = items
        .into_iter()
        .map(|item| {
            let original = event_of(item).map_or("-".to_owned(), event::object);
            format!("{original}\n    {}", told(item).text())
        })
        .collect();
    insta::assert_snapshot!(lines.join("\n"), @r#"
    -
        {"seq":0,"event":"scheduled","kind":"run","run_id":3}
    {"event":"enqueued","kind":"run","run_id":3}
        {"seq":0,"event":"enqueued","kind":"run","run_id":3}
    -
        {"seq":0,"event":"given_back","kind":"run","run_id":3}
    {"event":"started","kind":"run","run_id":3}
        {"seq":0,"event":"started","kind":"run","run_id":3}
    -
        {"seq":0,"event":"log","kind":"run","run_id":3,"length":70}
    {"event":"returned","kind":"run","run_id":3}
        {"seq":0,"event":"returned","kind":"run","run_id":3}
    -
        {"seq":0,"event":"scheduled","kind":"kill_request","kill_request_id":4}
    {"event":"enqueued","kill_request_id":4,"kind":"kill_request"}
        {"seq":0,"event":"enqueued","kind":"kill_request","kill_request_id":4}
    {"event":"executed","kill_request_id":4,"kind":"kill_request"}
        {"seq":0,"event":"executed","kind":"kill_request","kill_request_id":4}
    -
        {"seq":0,"event":"changed","kind":"job","job_id":5}
    -
        {"seq":0,"event":"changed","kind":"worker","worker_id":6}
    -
        {"seq":0,"event":"changed","kind":"thing"}
    -
        {"seq":0,"event":"changed","kind":"farm"}
    "#);
}
