use super::*;
use crate::run::Attempt;
use crate::server::domain::model::sample;

#[test]
fn what_a_request_to_end_a_run_does_is_this() {
    let now = chrono::DateTime::UNIX_EPOCH;
    let claimed = Run { enqueue_dts: Some(now), attempt: Attempt(1), ..sample::run(1) };
    let started = Run { start_dts: Some(now), ..claimed.clone() };
    let over = Run { return_dts: Some(now), return_success: Some(true), ..started.clone() };
    let worker = WorkerId::new(1).unwrap();
    let mut text = String::new();
    for (state, run) in [("scheduled", sample::run(1)), ("claimed", claimed), ("started", started), ("over", over)] {
        for by in [Asker::Dashboard, Asker::Command, Asker::Client, Asker::Worker(worker)] {
            for (is_asked, asked) in [(false, ""), (true, ", again")] {
                let EndPlan { decision, record } = end(&run, by, is_asked);
                text += &format!("{state}, {by:?}{asked}: {decision:?}, row {record:?}\n");
            }
        }
    }
    insta::assert_snapshot!("requests", text);
}

#[test]
fn a_worker_reports_on_the_kill_of_its_own_attempt_only() {
    let [one, two] = [1, 2].map(|id| WorkerId::new(id).unwrap());
    assert!(may_report_kill(Some(one), Actor::Worker(one, None)));
    assert!(!may_report_kill(Some(one), Actor::Worker(two, None)));
    assert!(!may_report_kill(None, Actor::Worker(one, None)), "no worker had the attempt");
    assert!(may_report_kill(None, Actor::Operator) && may_report_kill(Some(one), Actor::Operator));
}
