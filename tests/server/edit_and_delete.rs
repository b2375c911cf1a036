//! Changes and deletions of entities: what depends on them follows, and nothing with an active run is deleted.

use chrono::Utc;
use jobrunner::server::domain::model::{Exclude, JobId, PoolId, Schedule, TemplateId, Unit};
use jobrunner::server::domain::title::Title;
use jobrunner::server::store::rest_lists::only;
use jobrunner::server::store::{DeletionImpact, Entity, EntityForm, JobPatch, NewJob, NewRun, Removal, StoreError};

use crate::stage::{Stage, made};

fn entity_form(title: &str) -> EntityForm {
    EntityForm {
        title: Title::new(title).expect("a title"),
        description: String::new(),
        enabled: true,
        notification_addresses: "ops@example.org".to_owned(),
    }
}

async fn template(stage: &Stage, body: &str) -> Result<Option<TemplateId>, StoreError> {
    let template = &stage.template;
    stage.store().save_template(Some(template.id), None, &entity_form("shell"), template.project, body).await
}

#[tokio::test]
async fn a_template_change_renders_all_its_jobs_or_fails() {
    let stage = Stage::start(1).await;
    let job = stage.job(|new| new.script = "echo hello".to_owned()).await;
    assert!(template(&stage, "#!/bin/bash\n{{ content|safe }}\n").await.expect("an answer").is_some());
    let script = async || stage.store().job(job.id).await.expect("an answer").expect("a job").script_content;
    assert_eq!(script().await, "#!/bin/bash\necho hello\n");
    // Nothing would execute its jobs' scripts.
    let refused = template(&stage, "#!/bin/bash\necho\n").await.expect_err("a refusal");
    assert!(refused.to_string().contains("would not be executed"), "{refused}");
    // Nothing could execute that.
    let refused = template(&stage, "{{ content|safe }}").await.expect_err("a refusal");
    assert!(refused.to_string().contains("its job job: the script cannot be executed"), "{refused}");
    assert_eq!(script().await, "#!/bin/bash\necho hello\n");
    let kept = stage.store().template(stage.template.id).await.expect("an answer").expect("a template");
    assert_eq!((kept.title.as_str(), kept.body.as_str()), ("shell", "#!/bin/bash\n{{ content|safe }}\n"));
    stage.fixture.stop().await;
}

#[tokio::test]
async fn a_job_form_replaces_all_fields_and_moves_the_next_run() {
    let stage = Stage::start(1).await;
    let job = stage.job(|new| new.schedule = Schedule::Interval { every: 1, unit: Unit::Day }).await;
    let planned = stage.until("the planned run", async |store| store.coming(job.id, 9).await.ok()?.pop()).await;
    let time = |hour| chrono::NaiveTime::from_hms_opt(hour, 0, 0).expect("a time");
    let mut new = jobrunner::server::store::NewJob::new(Title::fixed("other"), job.template, job.pool, "echo other");
    new.schedule = Schedule::Interval { every: 3, unit: Unit::Hour };
    new.excludes = vec![Exclude { start: time(1), end: time(2), note: "the backup".to_owned() }];
    assert_eq!(stage.store().save_job(Some(job.id), None, &new).await.expect("an answer"), Some(job.id));
    let saved = stage.store().job(job.id).await.expect("an answer").expect("a job");
    assert_eq!((saved.title.as_str(), saved.excludes.as_slice()), ("other", new.excludes.as_slice()));
    assert_eq!(saved.script_content, "#!/bin/sh\necho other\n");
    let moved = async |store: &jobrunner::server::store::Store| {
        let run = store.run(planned.id).await.ok()??;
        (run.schedule_dts != planned.schedule_dts).then_some(())
    };
    stage.until("the planned run at its new time", moved).await;
    // It runs after nothing that runs after it.
    new.parent = Some(job.id);
    assert!(stage.store().save_job(Some(job.id), None, &new).await.is_err());
    stage.fixture.stop().await;
}

#[tokio::test]
async fn a_job_with_a_missing_pool_or_parent_is_refused_by_the_id_of_what_is_missing() {
    let stage = Stage::start(1).await;
    let job = stage.job(|_| {}).await;
    let (pool, parent) = (PoolId::new(4711), JobId::new(815));
    let store = stage.store();
    let plain = || NewJob::new(Title::fixed("other"), job.template, job.pool, "echo other");
    let no_pool = NewJob { pool: pool.expect("an id"), ..plain() };
    let no_parent = NewJob { parent, ..plain() };
    for (new, missing) in [(no_pool, "pool 4711 does not exist"), (no_parent, "parent 815 does not exist")] {
        assert_eq!(store.new_job(&new).await.expect_err("a refusal").to_string(), missing);
        assert_eq!(store.save_job(Some(job.id), None, &new).await.expect_err("a refusal").to_string(), missing);
    }
    let patch = JobPatch { parent: Some(parent), ..JobPatch::default() };
    let refused = store.change_job(job.id, &patch).await.expect_err("a refusal");
    assert_eq!(refused.to_string(), "parent 815 does not exist");
    let taken = store.new_job(&NewJob { title: job.title.clone(), ..plain() }).await.expect_err("a refusal");
    assert_eq!(taken.to_string(), "job job exists already");
    stage.fixture.stop().await;
}

#[tokio::test]
async fn deletion_takes_dependents_along_and_is_refused_while_a_run_is_active() {
    let stage = Stage::start(2).await;
    let job = stage.job(|_| {}).await;
    let child = stage.job(|new| (new.title, new.parent) = (Title::fixed("child"), Some(job.id))).await;
    stage.execute(0, stage.due(&job).await.id, false).await;
    let active = stage.due(&job).await.id;
    made(stage.claim(0, active).await);
    let store = stage.store();
    for (thing, id) in [
        (Entity::Job, job.id.get()),
        (Entity::Template, stage.template.id.get()),
        (Entity::Project, stage.template.project.get()),
        (Entity::Pool, stage.pool.id.get()),
        (Entity::Worker, stage.worker(0).get()),
    ] {
        let Removal::Busy(weight) = store.remove(thing, id, Utc::now()).await.expect("an answer") else {
            panic!("{thing:?}")
        };
        assert_eq!(weight.active, 1, "{thing:?}");
    }
    stage.begin(0, active).await;
    made(stage.finish(0, active, false).await);
    // A worker takes the runs along that wait for it alone.
    let later = Utc::now() + chrono::TimeDelta::hours(1);
    let new = NewRun { pinned: Some(stage.worker(1)), ..NewRun::due(job.id, later) };
    let pinned = store.new_run(&new).await.expect("a run").id;
    assert!(matches!(store.remove(Entity::Worker, stage.worker(1).get(), Utc::now()).await, Ok(Removal::Gone(_))));
    assert!(store.run(pinned).await.expect("an answer").is_none());
    assert_eq!(store.pools(&only(stage.pool.id.get())).await.expect("a pool").things[0].1, [stage.worker(0)]);

    let weight = store.deletion_impact(Entity::Job, job.id.get()).await.expect("an answer").expect("a job");
    assert_eq!(weight, DeletionImpact { title: "job".to_owned(), runs: 2, orphans: 1, ..DeletionImpact::default() });
    assert!(matches!(store.remove(Entity::Job, job.id.get(), Utc::now()).await, Ok(Removal::Gone(_))));
    assert_eq!(store.job(child.id).await.expect("an answer").expect("a job").parent, None);
    assert!(matches!(
        store.remove(Entity::Project, stage.template.project.get(), Utc::now()).await,
        Ok(Removal::Gone(_))
    ));
    assert!(store.job(child.id).await.expect("an answer").is_none());
    assert_eq!(
        store.remove(Entity::Project, stage.template.project.get(), Utc::now()).await.expect("an answer"),
        Removal::Unknown
    );
    stage.fixture.stop().await;
}
