use chrono::{TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;

use super::{JobPage, Viewer, body, parts};
use crate::run::RunId;
use crate::server::domain::fire::{Fire, FireKind, FireReason};
use crate::server::domain::model::{JobId, ProjectId, Run, RunExit, Template, TemplateId};
use crate::server::domain::schedule::Last;
use crate::server::domain::schedule::due_decision::WaitReason;
use crate::server::domain::title::Title;
use crate::server::http::dashboard::job::sample;
use crate::server::store::{JobLink, ScheduleState};

fn page() -> JobPage {
    let run = sample::run();
    let over = run.start_dts.map(|at| at + TimeDelta::seconds(4));
    let failed = Run {
        id: RunId::new(13).unwrap(),
        return_dts: over,
        return_success: Some(false),
        exit: Some(RunExit::Code(3)),
        ..run.clone()
    };
    let link = |id, parent, title: &str| JobLink {
        id: JobId::new(id).unwrap(),
        title: title.to_owned(),
        parent: JobId::new(parent),
        enabled: true,
    };
    let fire = Fire {
        job: JobId::new(3).unwrap(),
        due: run.schedule_dts,
        run: Some(run.id),
        reason: FireReason::Waiting(WaitReason::Active(RunId::new(11).unwrap()).into()),
        at: run.schedule_dts,
    };
    let planned = Last { at: run.schedule_dts + TimeDelta::hours(6), moved: TimeDelta::zero() };
    JobPage {
        overview: sample::disabled(),
        template: Template {
            id: TemplateId::new(2).unwrap(),
            title: Title::fixed("shell"),
            description: String::new(),
            body: "#!/bin/sh\n{{ content|safe }}\n".to_owned(),
            project: ProjectId::new(1).unwrap(),
            enqueue_is_enabled: true,
            notification_addresses: String::new(),
        },
        reasons: vec!["the job is disabled: the disk is full".into()],
        facts: vec![fire],
        finished: vec![failed, Run { return_dts: over, ..run }],
        family: vec![
            link(1, 0, "first"),
            link(3, 1, "backup"),
            link(4, 3, "after"),
            link(5, 4, "last"),
            link(6, 3, "too"),
        ],
        schedule_state: ScheduleState { planned: Some(planned), last: None },
    }
}

fn viewer() -> Viewer<'static> {
    let now = Utc.with_ymd_and_hms(2026, 11, 24, 10, 0, 0).unwrap();
    Viewer { form_token: "F00", zone: Tz::Europe__Amsterdam, now, typed: "" }
}

#[test]
fn a_job_looks_like_this() {
    insta::assert_snapshot!(body(&page(), viewer()));
}

#[test]
fn each_part_is_found_by_its_id() {
    let parts = parts(&page(), viewer());
    for id in ["job-state", "history", "forecast"] {
        assert!(parts.contains(&format!("id=\"{id}\"")), "{id}");
    }
}

#[test]
fn what_comes_from_outside_is_escaped() {
    let evil = "<script>alert(1)</script>\"'&";
    let mut page = page();
    let job = &mut page.overview.job;
    for text in [
        &mut job.description,
        &mut job.disabled_reason,
        &mut job.script_content_partial,
        &mut job.script_content,
        &mut job.notification_addresses,
        &mut job.excludes[0].note,
        &mut page.template.body,
        &mut page.family[0].title,
        &mut page.overview.around.pool.title,
    ] {
        evil.clone_into(text);
    }
    page.overview.job.title = Title::stored(evil.to_owned());
    page.template.title = Title::stored(evil.to_owned());
    page.reasons[0] = evil.into();
    page.facts[0].reason = FireReason::Sentence(FireKind::Delayed, evil.to_owned());
    let page = body(&page, viewer()).to_string();
    assert!(!page.contains("<script>alert"), "{page}");
    assert!(page.matches("&lt;script&gt;alert(1)").count() >= 10, "{page}");
    assert!(!page.contains(" style=") && !page.contains(" onclick"), "nothing inline: {page}");
}
