use super::{impact_sentences, is_large};
use crate::server::store::DeletionImpact;

#[test]
fn what_goes_with_a_thing_is_told_before() {
    let impact = DeletionImpact { title: "backups".to_owned(), ..DeletionImpact::default() };
    let lines = [
        impact.clone(),
        DeletionImpact { templates: 2, jobs: 1, runs: 120, ..impact.clone() },
        DeletionImpact { runs: 1, orphans: 1, ..impact.clone() },
        DeletionImpact { jobs: 3, orphans: 2, ..impact.clone() },
        DeletionImpact { jobs: 3, runs: 9, active: 1, ..impact },
    ]
    .map(|impact| impact_sentences(&impact).join(" "));
    insta::assert_snapshot!(lines.join("\n"), @r#"
    Nothing else is deleted with it.
    With it 2 templates, 1 job and 120 runs, with the logs, are deleted for good.
    With it 1 run, with the logs, are deleted for good. 1 job runs after it and stays: nothing starts it any more.
    With it 3 jobs are deleted for good. 2 jobs run after it and stay: nothing starts them any more.
    Not now: 1 run of it is under way. Kill what is not to finish, or wait.
    "#);
}

#[test]
fn what_is_large_asks_for_its_name() {
    let impact =
        |templates, jobs, runs| is_large(&DeletionImpact { templates, jobs, runs, ..DeletionImpact::default() });
    assert!(!impact(0, 0, 0) && !impact(4, 5, 99));
    assert!(impact(5, 5, 0) && impact(0, 1_250, 26_250) && impact(0, 0, 100));
}
