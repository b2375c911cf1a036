use super::{Activity, has_end};
use crate::wire::steps::JournalLine;

fn started(step: usize, name: &str) -> JournalLine {
    JournalLine::Started { step, name: name.to_owned() }
}

fn ended(step: usize, ok: bool, activity: &str) -> JournalLine {
    JournalLine::Ended { step, ok, activity: activity.to_owned(), seconds: 0.5 }
}

#[test]
fn the_activity_follows_the_journal() {
    let journal = [
        JournalLine::Origin { key: "5ee1".to_owned() },
        started(0, "echo"),
        ended(0, true, "finished echo"),
        started(1, "exec"),
        ended(1, true, "finished exec"),
        JournalLine::Finished { activity: "Task completed".to_owned() },
    ];
    let told = |lines: usize| {
        let update = Activity::of(&journal[..lines]).update();
        let timing = update.metrics.map_or(0, |metrics| metrics.timing.len());
        (
            update.activity.unwrap(),
            update.current_command_idx.unwrap(),
            update.command_progress_percentage.unwrap(),
            timing,
        )
    };
    assert_eq!(told(0), (String::new(), 0, 0, 0));
    assert_eq!(told(2), ("starting echo".to_owned(), 0, 0, 0));
    assert_eq!(told(3), ("finished echo".to_owned(), 0, 100, 1));
    assert_eq!(told(4), ("starting exec".to_owned(), 1, 0, 1));
    assert_eq!(told(6), ("Task completed".to_owned(), 1, 100, 2));
    assert!(has_end(&journal) && !has_end(&journal[..5]) && !has_end(&[]));
}

#[test]
fn a_step_that_was_refused_has_no_duration() {
    let journal = [ended(2, false, "exec: Invalid settings: cmd is missing")];
    let update = Activity::of(&journal).update();
    assert_eq!((update.current_command_idx, update.metrics), (Some(2), None));
    assert!(has_end(&journal));
}
