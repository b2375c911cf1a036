use std::collections::BTreeMap;

use chrono::{TimeZone, Utc};
use chrono_tz::Tz;

use super::{JobsFilter, JobsPage, list};
use crate::server::domain::title::Title;
use crate::server::http::dashboard::job::sample;
use crate::server::store::JobOverview;

#[test]
fn a_list_of_jobs_looks_like_this() {
    let mut off = sample::overview();
    off.around.pool.enabled = false;
    off.job.parent = crate::server::domain::model::JobId::new(7);
    let never = JobOverview { next: None, last: None, ..sample::overview() };
    let now = Utc.with_ymd_and_hms(2026, 11, 24, 10, 0, 0).unwrap();
    // The parent is on another page.
    let parents = off.job.parent.map(|id| (id, "fetch".to_owned())).into_iter().collect();
    insta::assert_snapshot!(list(&[sample::disabled(), off, never], &parents, now, Tz::UTC));
    assert!(list(&[], &parents, now, Tz::UTC).to_string().contains("No jobs match"));
}

#[test]
fn what_comes_from_outside_is_escaped() {
    let evil = "<script>alert(1)</script>\"'&";
    let mut job = sample::disabled();
    for text in [&mut job.job.disabled_reason, &mut job.around.project.title] {
        evil.clone_into(text);
    }
    job.job.title = Title::stored(evil.to_owned());
    let page = list(&[job], &BTreeMap::new(), Utc::now(), Tz::UTC).to_string();
    assert!(!page.contains("<script>alert") && page.contains("&lt;script&gt;alert(1)"), "{page}");
}

#[test]
fn long_lists_are_turned_over() {
    let turns = |page, total| {
        let wanted = JobsFilter { title: "a b".to_owned(), page };
        let found = JobsPage { jobs: Vec::new(), parents: BTreeMap::new(), total, is_cut: false };
        found.pager(&wanted, Some(3)).map(|turns| turns.to_string())
    };
    assert_eq!(turns(0, 100), None);
    assert_eq!(turns(0, 0), None);
    for (page, total, said) in [(0, 101, "page=1"), (1, 101, "page=0"), (9, 101, "page=1"), (usize::MAX, 101, "page=1")]
    {
        let turns = turns(page, total).unwrap();
        assert!(
            turns.replace("&#x2f;", "/").contains(&format!("/jobs?project=3&amp;title=a+b&amp;{said}")),
            "{page}: {turns}"
        );
    }
}
