use super::activity::{Activity, has_end};
use crate::run::{Left, Outcome, ProcessExit};
use crate::wire::steps::JournalLine;

fn started(step: usize, name: &str) -> JournalLine {
    JournalLine::Started { step, name: name.to_owned() }
}

#[test]
fn a_task_that_its_steps_did_not_end_explains_its_end_by_its_outcome() {
    let journal = [started(0, "exec")];
    assert!(!has_end(&journal));
    let killed = Outcome::Ran { exit: ProcessExit::Signal(9), cause: None, left: Left::Nobody };
    let update = Activity::of(&journal).at_end(&killed, false).update();
    assert_eq!(update.activity.as_deref(), Some("The job was ended by signal 9 (SIGKILL)."));
    assert_eq!(update.current_command_idx, Some(0));
}
