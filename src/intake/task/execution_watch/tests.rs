//! Tests of the watch over an execution: the table of all phases and inputs, and whole executions, with every effect of
//! each input.

use std::fmt::Write as _;

use super::*;
use crate::run::ProcessExit;

fn spawned() -> WatchInput {
    WatchInput::Progress(Progress::Spawned { pid: 12, at: "then".to_owned() })
}

fn ended(left: Left) -> StoredEnd {
    let outcome = Outcome::Ran { exit: ProcessExit::Code(0), cause: None, left };
    StoredEnd { outcome, output: 3, at: "later".to_owned() }
}

fn has_ended(left: Left) -> WatchInput {
    WatchInput::Progress(Progress::Ended(ended(left)))
}

fn refused(shortage: bool) -> WatchInput {
    WatchInput::Progress(Progress::Refused { why: "no room".to_owned(), shortage })
}

fn now(effect: ScriptEffect) -> WatchEffect {
    WatchEffect::Script(effect)
}

fn start() -> Start {
    Start { pid: 12, at: "then".to_owned() }
}

const DIED: WatchInput = WatchInput::Progress(Progress::ShimDied);
const KILL: WatchInput = WatchInput::Stop(Cause::Killed);

/// Replaces the time of an end that the machine itself makes, so that snapshots do not change.
fn timeless(effect: WatchEffect) -> WatchEffect {
    match effect {
        WatchEffect::ReportEnd(end) if matches!(end.outcome, Outcome::Unstartable(_)) => {
            WatchEffect::ReportEnd(StoredEnd { at: "now".to_owned(), ..end })
        }
        other => other,
    }
}

fn after(inputs: &[WatchInput]) -> ExecutionWatch {
    let mut watch = ExecutionWatch::new();
    for input in inputs {
        watch.step(input.clone(), None);
    }
    watch
}

#[test]
fn the_whole_table_is_this() {
    let courier = |request| WatchInput::Courier(request);
    let phases = [
        ("watching", after(&[])),
        ("watching, stop sent", after(&[KILL])),
        ("writing the start", after(&[spawned()])),
        ("writing the start, end held", after(&[spawned(), has_ended(Left::Nobody)])),
        ("shim died, reading the record", after(&[courier(CourierRequest::Watch(9)), DIED])),
        ("refused, reading the record", after(&[refused(false)])),
        ("refused for a shortage, reading the record", after(&[refused(true)])),
        ("over", after(&[has_ended(Left::Nobody)])),
    ];
    let inputs = [
        ("spawned", spawned()),
        ("output", WatchInput::Progress(Progress::Output(7))),
        ("stuck", WatchInput::Progress(Progress::Stuck(vec![12]))),
        ("ended", has_ended(Left::Nobody)),
        ("ended, left processes", has_ended(Left::Kept)),
        ("refused", refused(false)),
        ("shim died", DIED),
        ("start written", WatchInput::StartWritten),
        ("stop", KILL),
        ("courier: watch", courier(CourierRequest::Watch(5))),
        ("courier: stop", courier(CourierRequest::Stop)),
        ("record: reconnected", WatchInput::Record(RecordedFate::Reconnected)),
        ("record: ended", WatchInput::Record(RecordedFate::Ended(ended(Left::Nobody)))),
        ("record: lost", WatchInput::Record(RecordedFate::Lost)),
        ("record: never began", WatchInput::Record(RecordedFate::NeverBegan)),
        ("record: left behind", WatchInput::Record(RecordedFate::LeftBehind)),
    ];
    let mut table = String::new();
    for (from, before) in phases {
        let _ = writeln!(table, "{from}");
        for (name, input) in &inputs {
            let mut watch = before.clone();
            let effects: Vec<_> = watch.step(input.clone(), None).into_iter().map(timeless).collect();
            let to = if watch == before { "·".to_owned() } else { format!("{:?}", watch.phase) };
            let _ = writeln!(table, "    {name:<21} -> {to}; {effects:?}");
        }
        table.push('\n');
    }
    insta::assert_snapshot!(table);
}

#[test]
fn an_execution_is_reported_in_the_order_of_its_facts() {
    let mut watch = ExecutionWatch::new();
    assert_eq!(watch.step(spawned(), None), [WatchEffect::WriteStart(start())]);
    assert_eq!(watch.step(WatchInput::StartWritten, None), []);
    assert_eq!(watch.step(WatchInput::Courier(CourierRequest::Watch(5)), None), [now(ScriptEffect::WatchOutput(5))]);
    assert_eq!(watch.step(WatchInput::Progress(Progress::Output(7)), None), [WatchEffect::ReportOutput(7)]);
    assert_eq!(
        watch.step(has_ended(Left::Kept), None),
        [now(ScriptEffect::FreeSlot), WatchEffect::ReportEnd(ended(Left::Kept))]
    );
    assert_eq!(watch.step(DIED, None), [], "the shim exits after the end");
}

#[test]
fn an_end_that_comes_before_the_start_is_written_frees_the_slot_and_waits() {
    let mut watch = after(&[spawned()]);
    assert!(watch.reads_progress());
    assert_eq!(watch.step(has_ended(Left::Nobody), None), [now(ScriptEffect::CountEnd), now(ScriptEffect::FreeSlot)]);
    assert!(!watch.reads_progress());
    assert_eq!(
        watch.step(WatchInput::StartWritten, None),
        [now(ScriptEffect::FreeSlot), WatchEffect::ReportEnd(ended(Left::Nobody))]
    );
}

#[test]
fn a_stop_is_sent_once_also_while_the_start_is_written() {
    let mut watch = after(&[spawned()]);
    assert_eq!(watch.step(KILL, Some(Cause::Killed)), [now(ScriptEffect::Stop(Cause::Killed))]);
    assert!(watch.has_sent_stop());
    assert_eq!(watch.step(WatchInput::StartWritten, Some(Cause::Killed)), []);
    assert_eq!(watch.step(KILL, Some(Cause::Killed)), []);
}

#[test]
fn a_new_connection_is_asked_again_for_all_that_is_still_wanted() {
    let mut watch = after(&[WatchInput::Courier(CourierRequest::Watch(9)), KILL]);
    assert_eq!(watch.step(DIED, Some(Cause::Killed)), [WatchEffect::ReadRecord]);
    assert!(!watch.reads_progress());
    assert_eq!(
        watch.step(WatchInput::Record(RecordedFate::Reconnected), Some(Cause::Killed)),
        [now(ScriptEffect::WatchOutput(9))]
    );
    assert!(watch.reads_progress() && !watch.has_sent_stop());
    assert_eq!(watch.step(KILL, Some(Cause::Killed)), [now(ScriptEffect::Stop(Cause::Killed))]);
}

#[test]
fn leftovers_of_a_run_that_was_to_be_stopped_are_ended_before_the_end_is_reported() {
    let effects =
        [now(ScriptEffect::FreeSlot), now(ScriptEffect::EndLeftovers), WatchEffect::ReportEnd(ended(Left::Kept))];
    assert_eq!(after(&[KILL]).step(has_ended(Left::Kept), Some(Cause::Killed)), effects);
    assert_eq!(after(&[]).step(has_ended(Left::Kept), Some(Cause::Killed)), effects, "the stop was not yet sent");
    let from_record = WatchInput::Record(RecordedFate::Ended(ended(Left::Kept)));
    assert_eq!(after(&[KILL, DIED]).step(from_record, Some(Cause::Killed)), effects);
}

#[test]
fn a_script_that_was_refused_for_a_shortage_keeps_its_slot_and_its_report() {
    let mut watch = after(&[refused(true)]);
    assert_eq!(
        watch.step(WatchInput::Record(RecordedFate::NeverBegan), None),
        [WatchEffect::GiveUp(BrokenExecution::Short("no room".to_owned()))]
    );
}
