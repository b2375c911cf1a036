use super::{is_large, told};
use crate::server::store::DeletionImpact;

#[test]
fn what_goes_with_a_thing_is_told_before() {
    let weight = DeletionImpact { title: "backups".to_owned(), ..DeletionImpact::default() };
    let lines = [
        weight.clone(),
        DeletionImpact { templates: 2, jobs: 1, runs: 120, ..weight.clone() },
        DeletionImpact { runs: 1, orphans: 1, ..weight.clone() },
        DeletionImpact { jobs: 3, orphans: 2, ..weight.clone() },
        DeletionImpact { jobs: 3, runs: 9, active: 1, ..weight },
    ]
    .map(|weight| told(&weight).join(" "));
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
    let weight =
        |templates, jobs, runs| is_large(&DeletionImpact { templates, jobs, runs, ..DeletionImpact::default() });
    assert!(!weight(0, 0, 0) && !weight(4, 5, 99));
    assert!(weight(5, 5, 0) && weight(0, 1_250, 26_250) && weight(0, 0, 100));
}
