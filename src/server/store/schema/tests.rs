use rusqlite::Connection;

use super::MIGRATIONS;
use crate::run::{Attempt, RunId};
use crate::server::domain::fire::{FireKind, FireReason, sample};
use crate::server::domain::life::late::LateReason;
use crate::server::domain::model::JobId;
use crate::server::store::Store;
use crate::server::store::changes::ChangeFeed;
use crate::server::store::fires::record;

/// Makes a file as the first version left it, with these logs.
fn first_version(path: &std::path::Path, logs: &[Option<&str>]) {
    let connection = file_of_version(1, path);
    for (run, content) in (1_i64..).zip(logs) {
        connection.execute("INSERT INTO run_log (run, content) VALUES (?, ?)", (run, content)).expect("a log");
    }
}

/// Makes a file of a version, in which rows need not refer to others that exist.
fn file_of_version(version: usize, path: &std::path::Path) -> Connection {
    let connection = Connection::open(path).expect("a file");
    connection.pragma_update(None, "foreign_keys", false).expect("a setting");
    let schema = format!("{} PRAGMA user_version = {version};", MIGRATIONS[..version].concat());
    connection.execute_batch(&schema).expect("the version before");
    connection
}

#[tokio::test]
async fn logs_of_the_first_version_are_carried_over_byte_by_byte() {
    let directory = tempfile::tempdir().expect("a temporary folder");
    let path = directory.path().join("job_runner.sqlite");
    let long: String = (0..40_000).map(|line| format!("line {line} \u{e9}\u{20ac}\u{1f600}\0\n")).collect();
    // Characters of every length lie across each place where the text is cut.
    let dense = "\u{1f600}".repeat(70_000);
    let shifted = format!("a{}\u{20ac}", "\u{20ac}".repeat(50_000));
    let logs = [Some("short\n"), Some(""), None, Some(&long), Some("no end"), Some(&dense), Some(&shifted)];
    first_version(&path, &logs);
    let store = Store::open(&path, ChangeFeed::default()).await.expect("brought forward");
    for (run, content) in (1_i64..).zip(logs) {
        let run = RunId::new(run).expect("an id");
        assert_eq!(store.log_text(run).await.expect("an answer").as_deref(), content, "log {run}");
        let extent = store.log_extent(run).await.expect("an answer").expect("a log");
        let text = content.unwrap_or_default();
        assert_eq!(extent.bytes, content.map(|content| content.len() as u64));
        assert_eq!(extent.lines(), text.split_inclusive('\n').count() as u64, "log {run}");
        let (mut at, mut pieces) = (0, 0);
        while let Some(piece) = store.log_piece(&extent, at).await.expect("an answer") {
            assert!(piece.len() <= 65_536 && std::str::from_utf8(&piece).is_ok(), "no character is cut");
            (at, pieces) = (at + piece.len() as u64, pieces + 1);
        }
        assert_eq!((at, pieces), (text.len() as u64, text.len().div_ceil(65_536)), "log {run}");
        for line in [1, 2, 9_999, 39_999] {
            let lines = store.log_lines(&extent, line, 2, 1000).await.expect("an answer").expect("the same log");
            let expected: String =
                text.split_inclusive('\n').skip(usize::try_from(line).expect("small")).take(2).collect();
            assert_eq!(String::from_utf8_lossy(&lines.text[..expected.len().min(lines.text.len())]), expected);
        }
    }
    store.close().await;
}

/// Makes a file as it was before the migration step whose text contains `words`, and runs a batch in it.
fn before_the_step(words: &str, path: &std::path::Path, batch: &str) {
    let step = MIGRATIONS.iter().position(|step| step.contains(words)).expect("the step");
    file_of_version(step, path).execute_batch(batch).expect("rows");
}

#[tokio::test]
async fn stored_sentences_become_the_reasons_that_they_say() {
    let directory = tempfile::tempdir().expect("a temporary folder");
    let path = directory.path().join("job_runner.sqlite");
    let job = JobId::new(1).unwrap();
    // Few words have changed since they were stored, so every reason of today stands for a sentence of then.
    let then = |text: String| {
        text.replace("no worker of the pool that takes new runs answers", "no worker of the pool answers")
    };
    let reasons: Vec<FireReason> = sample::reasons();
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "''"));
    let mut batch = "
        INSERT INTO project (id, title) VALUES (1, 'default');
        INSERT INTO worker_pool (id, title) VALUES (1, 'default');
        INSERT INTO job_template (id, title, body, project) VALUES (1, 'default', '', 1);
        INSERT INTO job (id, job_template, worker_pool, title, script_content_partial, script_content)
            VALUES (1, 1, 1, 'job', '', '');"
        .to_owned();
    let strange = [
        "run 0 takes its place",
        "run 5x takes its place",
        "run 05 takes its place",
        "worker 3 was lost with attempt 2 of run 6",
        "this and 99 more times passed while the one before waited or nobody looked",
        "the schedule leaves out 29:00 to 06:00",
        "the schedule leaves out 22:00:30 to 06:00",
    ];
    let sentences = reasons.iter().map(|reason| (reason.kind(), then(reason.to_string())));
    let sentences = sentences.chain(strange.map(|text| (FireKind::Missed, text.to_owned())));
    for (due, (kind, text)) in (1..).zip(sentences) {
        let (kind, text) = (kind.word(), quoted(&text));
        batch +=
            &format!("INSERT INTO fire (job, due, run, what, reason, at) VALUES (1, {due}, 5, '{kind}', {text}, 9);");
    }
    before_the_step("ADD COLUMN params", &path, &batch);
    let store = Store::open(&path, ChangeFeed::default()).await.expect("brought forward");
    let mut found = store.fires(job, 1000).await.expect("an answer");
    found.reverse();
    let mut sentences = Vec::new();
    for (fire, reason) in found.iter().zip(&reasons) {
        assert_eq!(fire.reason.to_string(), reason.to_string(), "nothing reads differently");
        match &fire.reason {
            FireReason::Sentence(_, text) => sentences.push(text.as_str()),
            read => assert_eq!(read, reason),
        }
        // The fact counts as the one that is recorded already.
        let again = fire.clone();
        store.change(move |transaction| record(transaction, &again)).await.expect("recorded");
    }
    insta::assert_snapshot!(sentences.join("\n"));
    let kept: Vec<String> = found[reasons.len()..].iter().map(|fire| fire.reason.to_string()).collect();
    assert_eq!(kept, strange);
    assert!(found[reasons.len()..].iter().all(|fire| matches!(fire.reason, FireReason::Sentence(FireKind::Missed, _))));
    assert_eq!(store.fires(job, 1000).await.expect("an answer").len(), found.len());
    store.close().await;
}

#[tokio::test]
async fn ad_hoc_scripts_of_before_are_hidden_and_jobs_are_not() {
    let directory = tempfile::tempdir().expect("a temporary folder");
    let path = directory.path().join("job_runner.sqlite");
    let jobs = "
        INSERT INTO project (id, title) VALUES (1, 'default'), (2, 'ops');
        INSERT INTO worker_pool (id, title) VALUES (1, 'default');
        INSERT INTO job_template (id, title, body, project)
            VALUES (1, 'submitted', '{{ content|safe }}', 1), (2, 'default', '{{ content|safe }}', 1), (3, 'submitted', '', 2);
        INSERT INTO job (job_template, worker_pool, title, script_content_partial, script_content, concurrency)
            VALUES (1, 1, 'once', 'x', 'x', 'allow'), (1, 1, 'followed', 'x', 'x', 'allow'), (1, 1, 'hourly', 'x', 'x', 'allow'),
            (1, 1, 'described', 'x', 'x', 'allow'), (1, 1, 'waits', 'x', 'x', 'wait'), (2, 1, 'elsewhere', 'x', 'x', 'allow'),
            (3, 1, 'namesake', 'x', 'x', 'allow'), (2, 1, 'child', 'x', 'x', 'wait');
        UPDATE job SET reschedule_interval = 1, reschedule_interval_type = 'HOUR' WHERE title = 'hourly';
        UPDATE job SET description = 'for the auditors' WHERE title = 'described';
        UPDATE job SET parent = 2 WHERE title = 'child';";
    before_the_step("ADD COLUMN ad_hoc", &path, jobs);
    let store = Store::open(&path, ChangeFeed::default()).await.expect("brought forward");
    let shown = store.overview_of_jobs(None, None, 100).await.expect("an answer");
    let shown: Vec<&str> = shown.iter().map(|overview| overview.job.title.as_str()).collect();
    assert_eq!(shown, ["child", "described", "elsewhere", "followed", "hourly", "namesake", "waits"]);
    assert_eq!(store.ad_hoc_of_title("once").await.expect("an answer").map(|job| job.get()), Some(1));
    store.close().await;
}

#[tokio::test]
async fn late_results_of_before_keep_their_success_and_reason() {
    let directory = tempfile::tempdir().expect("a temporary folder");
    let path = directory.path().join("job_runner.sqlite");
    let late = "
        INSERT INTO late_result (run, attempt, worker, at, why, said) VALUES
            (1, 1, 7, 1000000, 'the run is another worker''s', 'Patch { return_success: Some(Some(true)), pid: None }'),
            (1, NULL, 7, 2000000, 'the run is over', 'Patch { return_success: Some(Some(false)), pid: None }'),
            (1, 2, 7, 3000000, 'of nobody knows when', '');
        WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 50)
        INSERT INTO late_result (run, worker, at, why, said) SELECT 2, 7, i, 'the run is not claimed', '' FROM n;";
    before_the_step("DROP COLUMN said", &path, late);
    let store = Store::open(&path, ChangeFeed::default()).await.expect("brought forward");
    let of = async |run| store.late_results_of_run(RunId::new(run).expect("an id")).await.expect("an answer");
    let found: Vec<_> = of(1).await.into_iter().map(|late| late.result).collect();
    let short: Vec<_> = found.iter().map(|late| (late.attempt, late.success, late.reason)).collect();
    let expected = [
        (Some(Attempt(1)), Some(true), Some(LateReason::AnotherWorker)),
        (None, Some(false), Some(LateReason::Over)),
        (Some(Attempt(2)), None, None),
    ];
    assert_eq!(short, expected);
    let found = of(2).await;
    assert_eq!((found.len(), found[0].result.reason), (20, Some(LateReason::Unclaimed)), "the first ones are kept");
    store.close().await;
}
