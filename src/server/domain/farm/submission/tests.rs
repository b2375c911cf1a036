use proptest::prelude::*;
use serde_json::json;

use super::*;

fn job(tasks: &[(&str, &[&str])]) -> JobSubmission {
    let tasks: Vec<_> = tasks
        .iter()
        .map(|(name, parents)| {
            json!({"name": name, "task_type": "sleep", "parents": parents, "commands": [{"name": "echo", "settings": {}}]})
        })
        .collect();
    serde_json::from_value(json!({"name": "shot", "tasks": tasks})).unwrap()
}

fn refused(job: JobSubmission) -> String {
    check(job).unwrap_err().to_string()
}

#[test]
fn parents_are_found_by_their_names() {
    let checked = check(job(&[("video", &["f2", "f1", "f1"]), ("f1", &[]), ("f2", &["f1"])])).unwrap();
    assert_eq!(checked.parents, [vec![1, 2], vec![], vec![1]]);
    assert_eq!(checked.job.priority, 50);
}

#[test]
fn each_mistake_is_named() {
    let mut wrong = job(&[("a", &["b"]), ("a", &[]), ("", &[])]);
    wrong.tasks[0].commands.clear();
    wrong.tasks[1].task_type = "x".repeat(256);
    wrong.tasks[1].commands[0].name.clear();
    wrong.name = "a\nb".to_owned();
    insta::assert_snapshot!(refused(wrong).replace("; ", "\n"));
}

#[test]
fn a_loop_is_refused() {
    assert_eq!(refused(job(&[("a", &["a"])])), "task \"a\" waits for itself, over its parents");
    assert_eq!(
        refused(job(&[("z", &[]), ("a", &["b"]), ("b", &["a", "z"])])),
        "task \"a\" waits for itself, over its parents"
    );
}

#[test]
fn too_many_tasks_and_none_are_refused() {
    assert_eq!(refused(job(&[])), "a job has 1 to 100000 tasks, this one 0");
    let mut many = job(&[("a", &[])]);
    many.tasks = vec![many.tasks[0].clone(); MAX_TASKS + 1];
    assert_eq!(refused(many), "a job has 1 to 100000 tasks, this one 100001");
    let mut same = job(&[("a", &[])]);
    same.tasks = vec![same.tasks[0].clone(); 30];
    assert!(refused(same).ends_with("; and 9 more mistakes"));
}

proptest! {
    /// Against a search for a way from each task back to itself.
    #[test]
    fn exactly_what_has_a_loop_is_refused(edges in prop::collection::vec((0_usize..6, 0_usize..6), 0..8)) {
        let mut parents = vec![Vec::new(); 6];
        edges.iter().for_each(|(task, parent)| parents[*task].push(*parent));
        let reaches = |from: usize| {
            let (mut seen, mut open) = (vec![false; 6], parents[from].clone());
            while let Some(task) = open.pop() {
                if !std::mem::replace(&mut seen[task], true) {
                    open.extend(&parents[task]);
                }
            }
            seen[from]
        };
        prop_assert_eq!(in_a_loop(&parents).is_some(), (0..6).any(reaches));
    }
}
