//! Admin pages: entities set up in the browser work; a worker starts with the file that it is given there.

use std::process::Command;

use jobrunner::server::domain::model::{RunState, WorkerId};
use jobrunner::server::domain::title::Title;

use super::Visitor;
use crate::process::Process;
use crate::stage::Stage;
use crate::worker_process::without_settings;

#[tokio::test]
async fn a_worker_is_made_and_starts_with_the_file_that_it_is_given() {
    let stage = Stage::start(0).await;
    let job = stage.job(|_| {}).await;
    let Some(mut visitor) = Visitor::of(&stage).await else { return };
    visitor.go("/admin/workers/new").await;
    // Something is wrong with it first: that is told, and what was typed stays.
    let fill = "document.querySelector('#f-title').value = 'a <new> one'; document.querySelector('input[name=pools]').checked = true";
    visitor.browser.submit("form.admin", fill).await;
    assert!(visitor.text("#w-api_key").await.contains("contains a colon, a space"));
    assert_eq!(visitor.browser.evaluate("document.querySelector('#f-title').value").await, "a <new> one");
    visitor.browser.submit("form.admin", "document.querySelector('#f-api_key').value = 'new1'").await;
    let ini = visitor.text("#ini").await;
    assert!(ini.contains("api_key = new1\n"), "{ini}");

    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("worker.ini");
    std::fs::write(&config, ini).expect("the file");
    let mut command = Command::new(env!("CARGO_BIN_EXE_job_runner_worker"));
    without_settings(&mut command);
    command
        .env("STATE_DIRECTORY", folder.path().join("state"))
        .env("JOB_RUNNER_WORKER_SCRIPT_TEMP_PATH", folder.path());
    let worker = Process::start("new1", folder.path(), command.arg("--config-path").arg(&config));

    let run = stage.due(&job).await;
    let over = stage
        .until("the end of the run", async |store| {
            store.run(run.id).await.expect("an answer").filter(|run| run.state() == RunState::Completed)
        })
        .await;
    assert_eq!((over.return_success, over.worker), (Some(true), WorkerId::new(1)), "{}", worker.last_words());
    visitor.go_live("/workers").await;
    visitor.browser.until("document.querySelector('[data-worker=\"a <new> one\"]').dataset.state === 'awake'").await;
    // The secret is told once.
    visitor.go("/admin/workers/1").await;
    assert_eq!(visitor.browser.evaluate("document.body.innerHTML.includes('secret = ')").await, false);
    drop(worker);
    stage.fixture.stop().await;
}

#[tokio::test]
async fn every_kind_of_entity_can_be_created_changed_copied_and_deleted() {
    let stage = Stage::start(1).await;
    let Some(mut visitor) = Visitor::of(&stage).await else { return };
    let set = |field: &str, value: &str| format!("document.querySelector('#f-{field}').value = {value:?};");
    visitor.go("/admin/projects/new").await;
    visitor.browser.submit("form.admin", &set("title", "Backups")).await;
    visitor.go("/admin/templates/new").await;
    let fill = set("title", "shell") + &set("body", "#!/bin/sh\n{{ content|safe }}\n");
    visitor.browser.submit("form.admin", &fill).await;
    visitor.go("/admin/jobs/new").await;
    let fill = set("title", "nightly")
        + &set("script", "echo hello\n")
        + &set("schedule", "cron")
        + &set("cron", "30 2 * * *")
        + &set("zone", "Asia/Tokyo")
        + &set("excludes", "noon");
    visitor.browser.submit("form.admin", &fill).await;
    assert!(visitor.text("#w-excludes").await.contains("no stretch of the day"));
    assert_eq!(visitor.browser.evaluate("document.querySelector('#f-cron').value").await, "30 2 * * *");
    visitor.browser.submit("form.admin", &set("excludes", "12:00 - 13:00 lunch")).await;
    // It leads to the job, whose next time is known as soon as somebody has looked.
    assert!(
        visitor
            .text("#job-state")
            .await
            .contains("at 02:30 (cron 30 2 * * *, Asia/Tokyo), but not from 12:00 to 13:00 (lunch)")
    );
    let job = stage.store().jobs_of_title("nightly", 2).await.expect("an answer")[0];
    visitor.go(&format!("/admin/jobs/new?copy={job}")).await;
    visitor.browser.submit("form.admin", "").await;
    assert_eq!(stage.store().jobs_of_title("nightly (copy)", 2).await.expect("an answer").len(), 1);
    visitor.go(&format!("/admin/jobs/{job}")).await;
    visitor
        .browser
        .submit("form.admin", &(set("title", "weekly") + &set("schedule", "interval") + &set("every", "7 days")))
        .await;
    assert!(visitor.text("#job-state").await.contains("every 7 days"));
    visitor.go(&format!("/admin/jobs/{job}/delete")).await;
    visitor.browser.submit("form[action$=\"/delete\"]", "").await;
    assert_eq!(visitor.text(".notice").await, "Job weekly was deleted.");
    assert!(stage.store().job(job).await.expect("an answer").is_none());
    stage.fixture.stop().await;
}

/// Another tab: it opens the form of a page, fills one field in and saves. The status that it is answered with.
async fn in_another_tab(visitor: &mut Visitor, path: &str, field: &str, value: &str) -> serde_json::Value {
    let tab = format!(
        "(async () => {{
            const page = new DOMParser().parseFromString(await (await fetch({path:?})).text(), 'text/html');
            const form = page.querySelector('form.admin');
            form.elements[{field:?}].value = {value:?};
            const answer = await fetch(form.getAttribute('action'), {{method: 'POST', body: new URLSearchParams(new FormData(form))}});
            return answer.status;
        }})()"
    );
    visitor.browser.evaluate(&tab).await
}

fn set(field: &str, value: &str) -> String {
    format!("document.querySelector('#f-{field}').value = {value:?};")
}

async fn field(visitor: &mut Visitor, name: &str) -> String {
    let value = visitor.browser.evaluate(&format!("document.querySelector('#f-{name}').value")).await;
    value.as_str().expect("text").to_owned()
}

#[tokio::test]
async fn a_form_opened_before_another_save_reverts_nothing_and_shows_both_values() {
    let stage = Stage::start(1).await;
    let Some(mut visitor) = Visitor::of(&stage).await else { return };
    let job = stage.job(|_| {}).await.id;
    let (template, project, pool) = (stage.template.id, stage.template.project, stage.pool.id);
    let forms = [
        format!("/admin/jobs/{job}"),
        format!("/admin/templates/{template}"),
        format!("/admin/pools/{pool}"),
        format!("/admin/projects/{project}"),
        format!("/admin/workers/{}", stage.worker(0)),
    ];
    for path in &forms {
        // Each changes a field of its own: both changes are kept, and the second is told of the first.
        visitor.go(path).await;
        assert_eq!(in_another_tab(&mut visitor, path, "description", "theirs").await, 200, "{path}");
        visitor.browser.submit("form.admin", &set("title", "mine")).await;
        assert!(visitor.text(".notice.bad").await.contains("saved a change meanwhile"), "{path}");
        assert_eq!(field(&mut visitor, "description").await, "theirs", "{path}");
        assert_eq!(field(&mut visitor, "title").await, "mine", "{path}");
        visitor.browser.submit("form.admin", "").await;
        visitor.go(path).await;
        assert_eq!(field(&mut visitor, "description").await, "theirs", "{path}");
        assert_eq!(field(&mut visitor, "title").await, "mine", "{path}");

        // Both change one field: what is there now stands beside what was typed, which is saved when it is sent again.
        in_another_tab(&mut visitor, path, "description", "<b>theirs</b> again").await;
        visitor.browser.submit("form.admin", &set("description", "mine")).await;
        assert!(visitor.text(".notice.bad").await.contains("<b>theirs</b> again"), "{path}");
        assert_eq!(field(&mut visitor, "description").await, "mine", "{path}");
        visitor.browser.submit("form.admin", "").await;
        visitor.go(path).await;
        assert_eq!(field(&mut visitor, "description").await, "mine", "{path}");
    }
    stage.fixture.stop().await;
}

#[tokio::test]
async fn fields_that_would_have_no_effect_are_refused() {
    let stage = Stage::start(1).await;
    let Some(mut visitor) = Visitor::of(&stage).await else { return };
    let job = stage.job(|_| {}).await.id;
    let saved = async || stage.store().job(job).await.expect("an answer").expect("a job");
    let path = format!("/admin/jobs/{job}");
    for (fill, wrong) in [
        (set("every", "1 hour"), "#w-every"),
        (set("cron", "0 3 * * *"), "#w-cron"),
        (set("schedule", "interval") + &set("every", "1 hour") + &set("cron", "0 3 * * *"), "#w-cron"),
        (set("schedule", "interval") + &set("every", "1 hour") + &set("zone", "Asia/Tokyo"), "#w-zone"),
        (set("schedule", "cron") + &set("every", "1 hour") + &set("cron", "0 3 * * *"), "#w-every"),
        (set("disabled_reason", "the disk is full"), "#w-disabled_reason"),
    ] {
        visitor.go(&path).await;
        visitor.browser.submit("form.admin", &fill).await;
        assert_eq!(visitor.browser.evaluate(&format!("!!document.querySelector('{wrong}')")).await, true, "{fill}");
        assert_eq!(saved().await.schedule, jobrunner::server::domain::model::Schedule::None, "{fill}");
    }
    // What was there already and is switched off is no mistake.
    visitor.go(&path).await;
    visitor.browser.submit("form.admin", &(set("schedule", "cron") + &set("cron", "0 3 * * *"))).await;
    visitor.go(&path).await;
    visitor.browser.submit("form.admin", &set("schedule", "none")).await;
    assert_eq!(saved().await.schedule, jobrunner::server::domain::model::Schedule::None);
    stage.fixture.stop().await;
}

#[tokio::test]
async fn a_list_of_thousands_has_pages_and_a_search_and_a_form_does_not_carry_it() {
    let stage = Stage::start(0).await;
    stage.fill(0, 3_000, 0).await;
    let parent = stage.job(|new| new.title = Title::fixed("Große Sicherung")).await.id;
    let job = stage.job(|new| new.title = Title::fixed("nach der Sicherung")).await.id;
    let Some(mut visitor) = Visitor::of(&stage).await else { return };
    visitor.browser.without_scripts().await;
    visitor.go("/admin/jobs").await;
    let rows = "document.querySelectorAll('tbody tr').length";
    assert_eq!(visitor.browser.evaluate(rows).await, 100);
    assert!(visitor.text(".pager").await.contains("1 to 100 of 3002"));
    visitor.browser.click(".pager [rel=next]").await;
    assert!(visitor.text(".pager").await.contains("101 to 200 of 3002"));
    visitor.browser.submit("form.filter", "document.querySelector('#text').value = 'GROSSE SICH'").await;
    assert_eq!(visitor.browser.evaluate(rows).await, 1);

    // Without scripts the parent is chosen by its title, or by its number; what there is none of is told.
    let path = format!("/admin/jobs/{job}");
    visitor.go(&path).await;
    let nodes = visitor.browser.evaluate("document.querySelectorAll('*').length").await;
    assert!(nodes.as_u64().is_some_and(|nodes| nodes < 500), "{nodes} nodes");
    visitor.browser.submit("form.admin", &set("parent", "Sicherung")).await;
    assert!(visitor.text("#w-parent").await.contains(&format!("Große Sicherung #{parent}")));
    let saved = async || stage.store().job(job).await.expect("an answer").expect("a job").parent;
    assert_eq!(saved().await, None);
    visitor.browser.submit("form.admin", &set("parent", "Große Sicherung")).await;
    assert_eq!(saved().await, Some(parent));
    visitor.go(&path).await;
    assert_eq!(field(&mut visitor, "parent").await, format!("Große Sicherung #{parent}"));
    visitor.browser.submit("form.admin", &set("parent", "")).await;
    assert_eq!(saved().await, None);
    visitor.go(&path).await;
    visitor.browser.submit("form.admin", &set("parent", &format!("#{parent}"))).await;
    assert_eq!(saved().await, Some(parent));
    stage.fixture.stop().await;
}

#[tokio::test]
async fn a_parent_is_offered_while_its_title_is_typed() {
    let stage = Stage::start(1).await;
    let parent = stage.job(|new| new.title = Title::fixed("Übersicht")).await.id;
    let job = stage.job(|_| {}).await.id;
    let Some(mut visitor) = Visitor::of(&stage).await else { return };
    visitor.go(&format!("/admin/jobs/{job}")).await;
    let typed = set("parent", "übers")
        + "document.querySelector('#f-parent').dispatchEvent(new Event('input', {bubbles: true}))";
    visitor.browser.evaluate(&typed).await;
    visitor.browser.until(&format!("document.querySelector('#o-parent option').value === 'Übersicht #{parent}'")).await;
    stage.fixture.stop().await;
}

#[tokio::test]
async fn a_large_deletion_needs_the_title_typed() {
    let stage = Stage::start(0).await;
    stage.fill(0, 200, 0).await;
    let Some(mut visitor) = Visitor::of(&stage).await else { return };
    visitor.browser.without_scripts().await;
    let path = format!("/admin/pools/{}/delete", stage.pool.id);
    let there = async || {
        stage
            .store()
            .deletion_impact(jobrunner::server::store::Entity::Pool, stage.pool.id.get())
            .await
            .expect("an answer")
            .is_some()
    };
    visitor.go(&path).await;
    for typed in ["", "poo"] {
        visitor
            .browser
            .submit("form[action$=\"/delete\"]", &format!("document.querySelector('#name').value = {typed:?}"))
            .await;
        assert!(there().await, "{typed:?}");
        assert!(visitor.text(".wrong").await.contains("pool"), "{typed:?}");
    }
    visitor.browser.submit("form[action$=\"/delete\"]", "document.querySelector('#name').value = 'pool'").await;
    assert!(!there().await);
    // What is small goes at once.
    let small = stage
        .store()
        .new_project(&jobrunner::server::store::NewProject::new(Title::fixed("small")))
        .await
        .expect("a project")
        .id;
    visitor.go(&format!("/admin/projects/{small}/delete")).await;
    visitor.browser.submit("form[action$=\"/delete\"]", "").await;
    assert_eq!(visitor.text(".notice").await, "Project small was deleted.");
    stage.fixture.stop().await;
}
