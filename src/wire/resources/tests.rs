//! Answers of the original's server, their meaning for this worker, and the changes that are written back.

use chrono::{TimeDelta, TimeZone};
use proptest::prelude::*;
use serde_json::json;

use super::*;

const ME: &str = "/api/v1/worker/1/";

fn now() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 11, 23, 17, 2, 0).single().expect("a time")
}

fn run(value: Value) -> RunResource {
    serde_json::from_value(value).expect("a run")
}

fn seen(value: Value) -> RunSight {
    run(value).seen(ME, now())
}

/// Builds a run that is due at a distance from now, as a naive text.
fn naive(ahead: TimeDelta) -> Value {
    json!({"schedule_dts": (now() + ahead).format("%Y-%m-%dT%H:%M:%S%.6f").to_string()})
}

#[test]
fn a_returned_run_of_the_original_is_read() {
    let run: RunResource = from_json(include_bytes!("../../../tests/fixtures/wire/run.json")).expect("a run");
    assert_eq!(run.id, 2);
    assert_eq!(run.job.as_deref(), Some("/api/v1/job/1/"));
    assert_eq!(run.run_log.as_deref(), Some("/api/v1/run_log/2/"));
    assert_eq!(run.worker.as_deref(), Some(ME));
    assert!(run.enqueue_dts.is_some() && run.start_dts.is_some());
    assert_eq!(run.seen(ME, now()), RunSight::Returned);
}

#[test]
fn a_due_run_of_the_original_is_free() {
    let run: RunResource = from_json(include_bytes!("../../../tests/fixtures/wire/run_due.json")).expect("a run");
    assert!(run.enqueue_dts.is_none() && run.start_dts.is_none() && run.return_dts.is_none() && run.run_log.is_none());
    assert_eq!(run.seen(ME, now()), RunSight::Free);
}

#[test]
fn the_other_resources_of_the_original_are_read() {
    let job: JobResource = from_json(include_bytes!("../../../tests/fixtures/wire/job.json")).expect("a job");
    assert_eq!(job.script_content, Some(json!("#!/usr/bin/env bash\necho hello\n")));

    let workers: ResourcePage<WorkerResource> =
        from_json(include_bytes!("../../../tests/fixtures/wire/workers.json")).expect("a list");
    assert_eq!(workers.objects[0].resource_uri, ME);
    assert_eq!(workers.objects[0].api_key.as_deref(), Some("testworker"));
    assert_eq!(workers.meta.next, None);

    let kill: KillRequestResource =
        from_json(include_bytes!("../../../tests/fixtures/wire/kill_request.json")).expect("a kill request");
    assert_eq!(kill.run.as_deref(), Some("/api/v1/run/2/"));
    assert!(kill.enqueue_dts.is_none() && kill.execute_dts.is_none());

    let runs: ResourcePage<RunResource> =
        from_json(include_bytes!("../../../tests/fixtures/wire/runs_first_page.json")).expect("a list");
    assert_eq!(runs.objects[0].seen(ME, now()), RunSight::Ours);
    assert!(runs.meta.next.is_some_and(|next| next.ends_with("offset=1")));
}

#[test]
fn an_error_of_the_original_is_no_list() {
    assert!(
        from_json::<ResourcePage<WorkerResource>>(include_bytes!("../../../tests/fixtures/wire/error.json")).is_err()
    );
}

#[test]
fn what_a_run_says_depends_on_its_times_and_its_worker() {
    let (set, theirs) = ("2026-11-23T18:02:01", "/api/v1/worker/10/");
    let table = [
        (Value::Null, Value::Null, Value::Null, RunSight::Free),
        (Value::Null, Value::Null, json!(ME), RunSight::Free),
        (Value::Null, Value::Null, json!(theirs), RunSight::NotForUs),
        (Value::Null, json!(set), json!(ME), RunSight::Ours),
        (Value::Null, json!(set), json!(theirs), RunSight::Theirs),
        (Value::Null, json!(set), Value::Null, RunSight::Theirs),
        (json!(set), Value::Null, Value::Null, RunSight::Returned),
        (json!(set), Value::Null, json!(ME), RunSight::Returned),
        (json!(set), Value::Null, json!(theirs), RunSight::Returned),
        (json!(set), json!(set), json!(ME), RunSight::Returned),
        (json!(set), json!(set), json!(theirs), RunSight::Returned),
        (json!(set), json!(set), Value::Null, RunSight::Returned),
    ];
    for (returned, enqueued, worker, wanted) in table {
        let value = json!({"return_dts": returned, "enqueue_dts": enqueued, "worker": worker});
        assert_eq!(seen(value.clone()), wanted, "{value}");
    }
}

#[test]
fn a_naive_schedule_may_read_as_far_ahead_as_a_time_zone_and_no_further() {
    assert_eq!(seen(naive(TimeDelta::hours(-1))), RunSight::Free);
    assert_eq!(seen(naive(TimeDelta::hours(14))), RunSight::Free);
    assert_eq!(seen(naive(TimeDelta::hours(15))), RunSight::Free);
    assert_eq!(seen(naive(TimeDelta::hours(16))), RunSight::NotForUs);
    assert_eq!(seen(json!({"schedule_dts": "2099-01-01T00:00:00"})), RunSight::NotForUs);
}

#[test]
fn a_far_schedule_changes_nothing_for_a_run_that_is_ours_already() {
    let far = json!({"schedule_dts": "2099-01-01T00:00:00", "enqueue_dts": "2026-11-23T17:00:00", "worker": ME});
    assert_eq!(seen(far), RunSight::Ours);
}

#[test]
fn of_a_timestamp_only_its_being_there_counts() {
    for time in [json!("2026-11-23"), json!("yesterday"), json!(""), json!(0), json!(false), json!([]), json!({"a": 1})]
    {
        assert_eq!(seen(json!({"enqueue_dts": time, "worker": ME})), RunSight::Ours, "{time}");
        assert_eq!(seen(json!({"return_dts": time})), RunSight::Returned, "{time}");
    }
}

#[test]
fn a_schedule_that_is_no_time_is_taken_for_due() {
    for time in [
        json!("next week"),
        json!(""),
        json!(4_102_444_800_i64),
        json!(["2099-01-01"]),
        json!("2099-13-45T00:00:00"),
        json!("2099"),
    ] {
        assert_eq!(seen(json!({"schedule_dts": time})), RunSight::Free, "{time}");
    }
}

#[test]
fn a_pid_is_ignored_whatever_it_is() {
    for pid in [json!(0), json!(-1), json!(1), json!(1e300), json!("1"), json!([1]), Value::Null] {
        assert_eq!(seen(json!({"pid": pid})), RunSight::Free);
    }
}

#[test]
fn a_field_that_is_missing_is_null_and_an_unknown_one_is_ignored() {
    let run = run(json!({"newer": {"than": ["us"]}}));
    assert_eq!(run.id, 0);
    assert!(run.job.is_none() && run.worker.is_none() && run.run_log.is_none());
    assert_eq!(run.seen(ME, now()), RunSight::Free);
}

#[test]
fn a_script_may_be_null_missing_or_no_text() {
    let script = |text: &str| from_json::<JobResource>(text.as_bytes()).expect("a job").script_content;
    assert_eq!(script("{}"), None);
    assert_eq!(script(r#"{"script_content": null}"#), None);
    assert_eq!(script(r#"{"script_content": 5}"#), Some(json!(5)));
    assert_eq!(script(r#"{"script_content": ["a"]}"#), Some(json!(["a"])));
    assert_eq!(script(r#"{"script_content": "a\u0000b"}"#), Some(json!("a\0b")));
}

fn text_of(json: &str) -> String {
    let job: JobResource = from_json(json.as_bytes()).unwrap_or_else(|e| panic!("{json}: {e}"));
    job.script_content.and_then(|content| content.as_str().map(str::to_owned)).expect("a text")
}

#[test]
fn a_lone_surrogate_becomes_a_replacement_character() {
    for (content, wanted) in [
        (r"\ud800", "\u{fffd}"),
        (r"a\uD800b", "a\u{fffd}b"),
        (r"\udc00", "\u{fffd}"),
        (r"\ud800\ud800", "\u{fffd}\u{fffd}"),
        (r"\udc00\ud800", "\u{fffd}\u{fffd}"),
        (r"\ud83e\udd80", "🦀"),
        (r"\ud800\ud83e\udd80", "\u{fffd}🦀"),
        (r"\ud83e\udd80\udd80", "🦀\u{fffd}"),
        (r"\ud800\u0041", "\u{fffd}A"),
        (r"\ud800\n\\ud800\\\ud800", "\u{fffd}\n\\ud800\\\u{fffd}"),
        (r"\\\\ud800\ud800", "\\\\ud800\u{fffd}"),
        (r"é\uDFFF日", "é\u{fffd}日"),
    ] {
        assert_eq!(text_of(&format!(r#"{{"script_content": "{content}"}}"#)), wanted, "{content}");
    }
}

#[test]
fn a_lone_surrogate_elsewhere_does_no_harm_either() {
    let job: JobResource =
        from_json(br#"{"\ud800": "\udfff", "title": "\ud8ff", "script_content": "x"}"#).expect("a job");
    assert_eq!(job.script_content, Some(json!("x")));
}

#[test]
fn an_escaped_backslash_before_a_u_is_no_surrogate() {
    assert_eq!(text_of(r#"{"script_content": "\\ud800"}"#), "\\ud800");
}

#[test]
fn what_is_no_json_of_its_kind_is_refused() {
    for text in [
        "",
        "null",
        "<html></html>",
        "{",
        "[]",
        "\"\"",
        "{\"id\": \"x\"}",
        "{\"job\": 1}",
        "{\"id\":1}x",
        "\u{1f}\u{8b}",
    ] {
        assert!(from_json::<RunResource>(text.as_bytes()).is_err(), "{text:?}");
    }
    for text in ["{}", "null", "[]", r#"{"objects": []}"#, r#"{"meta": {}}"#, r#"{"objects": null, "meta": {}}"#] {
        assert!(from_json::<ResourcePage<RunResource>>(text.as_bytes()).is_err(), "{text:?}");
    }
    assert!(from_json::<WorkerResource>(b"{}").is_err());
}

#[test]
fn the_number_of_a_resource_stands_at_the_end_of_its_path() {
    assert_eq!(id_of("/api/v1/run/2/"), Some(2));
    assert_eq!(id_of("/api/v1/run/2"), Some(2));
    assert_eq!(id_of("2"), Some(2));
    assert_eq!(id_of("http://host/api/v1/run/12/"), Some(12));
    for path in ["", "/", "/api/v1/run/", "/api/v1/run/x/", "/api/v1/run/2/?a=b", "/api/v1/run/99999999999999999999/"] {
        assert_eq!(id_of(path), None, "{path}");
    }
    assert_eq!(run_id_of("/api/v1/run/2/"), RunId::new(2));
    assert_eq!(run_id_of("/api/v1/run/0/"), None);
    assert_eq!(run_id_of("/api/v1/run/-2/"), None);
}

#[test]
fn a_patch_sends_the_fields_that_change_and_no_others() {
    let sent = |patch: RunPatch| serde_json::to_value(patch).expect("JSON");
    assert_eq!(
        sent(RunPatch::claim(now(), ME)),
        json!({"enqueue_dts": "2026-11-23 17:02:00.000000+00:00", "worker": ME})
    );
    assert_eq!(sent(RunPatch::start("at", Some(3573))), json!({"start_dts": "at", "pid": 3573}));
    assert_eq!(sent(RunPatch::result("at", true, None)), json!({"return_dts": "at", "return_success": true}));
    assert_eq!(
        sent(RunPatch::result("end", false, Some("start"))),
        json!({"return_dts": "end", "return_success": false, "start_dts": "start"})
    );
    assert_eq!(sent(RunPatch::reset()), json!({"enqueue_dts": null, "start_dts": null, "pid": null}));
    assert_eq!(sent(RunPatch::default()), json!({}));
}

#[test]
fn kills_pings_and_logs_send_what_they_mean() {
    let taken = KillRequestPatch { enqueue_dts: Some("at".to_owned()), ..KillRequestPatch::default() };
    assert_eq!(serde_json::to_value(taken).expect("JSON"), json!({"enqueue_dts": "at"}));
    let done = KillRequestPatch { execute_dts: Some("at".to_owned()), ..KillRequestPatch::default() };
    assert_eq!(serde_json::to_value(done).expect("JSON"), json!({"execute_dts": "at"}));
    let ping =
        WorkerPatch { ping_response_dts: "at".to_owned(), worker_version: "3.0.0", concurrent_jobs: 4, tells: None };
    assert_eq!(
        serde_json::to_value(ping).expect("JSON"),
        json!({"ping_response_dts": "at", "worker_version": "3.0.0", "concurrent_jobs": 4})
    );
    let log = NewLog { run: "/api/v1/run/2/".to_owned(), content: "hello\n" };
    assert_eq!(serde_json::to_value(log).expect("JSON"), json!({"run": "/api/v1/run/2/", "content": "hello\n"}));
    assert_eq!(serde_json::to_value(LogPatch { content: "" }).expect("JSON"), json!({"content": ""}));
}

#[test]
fn any_log_is_valid_json() {
    let content = "\0\u{1b}[31m\r\u{2028}\u{2029}\u{feff}<script>\"\\\u{7f}\u{fffd}🦀";
    let bytes = serde_json::to_vec(&LogPatch { content }).expect("JSON");
    assert_eq!(serde_json::from_slice::<Value>(&bytes).expect("JSON"), json!({"content": content}));
}

proptest! {
    #[test]
    fn any_bytes_are_a_resource_or_refused(text in proptest::collection::vec(any::<u8>(), 0..100)) {
        let _ = from_json::<RunResource>(&text);
        let _ = from_json::<ResourcePage<WorkerResource>>(&text);
    }

    #[test]
    fn any_escaped_units_become_the_text_that_python_would_replace_to(units in proptest::collection::vec(
        prop_oneof![0xd7feu16..0xe002, 0xd800..0xd803u16, 0xdc00..0xdc03u16, 0x41..0x43u16], 0..12,
    )) {
        let escaped: String = units.iter().map(|unit| format!("\\u{unit:04x}")).collect();
        let wanted = String::from_utf16_lossy(&units);
        prop_assert_eq!(text_of(&format!(r#"{{"script_content": "{escaped}"}}"#)), wanted);
    }

    #[test]
    fn mending_leaves_valid_text_as_it_is(content in any::<String>()) {
        let text = json!({"script_content": content, "other": "\\ud800"}).to_string();
        let mended = without_lone_surrogates(text.as_bytes());
        prop_assert_eq!(std::str::from_utf8(&mended), Ok(text.as_str()));
    }
}
