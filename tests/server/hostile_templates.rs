//! Templates that once ended the process by an overflow of its stack, at every door through which one comes in.

use std::fs;
use std::process::Command;

use serde_json::json;

use crate::http::{Answer, ask};
use crate::steady_load::Scene;
use crate::worker_process::without_settings;

/// How often what is nested is nested: shallow enough for every bound of length, deep enough for a stack, and both beyond.
const TIMES: [usize; 2] = [400, 8_000];

/// What can be nested in a template, by its name: before, in the middle, and after.
const NESTED: &[(&str, &str, &str, &str)] = &[
    ("not", "{{ ~1~ }}", "not ", ""),
    ("minus", "{{ ~1~ }}", "-", ""),
    ("parentheses", "{{ ~1~ }}", "(", ")"),
    ("lists", "{{ ~1~ }}", "[", "]"),
    ("dicts", "{{ ~1~ }}", "{1:", "}"),
    ("filters", "{{ content~~ }}", "", "|e"),
    ("attributes", "{{ content~~ }}", "", ".a"),
    ("subscripts", "{{ content~~ }}", "", "[0]"),
    ("calls", "{{ content~~ }}", "", "()"),
    ("concatenations", "{{ content~~ }}", "", "~content"),
    ("sums", "{{ 1~~ }}", "", "+1"),
    ("comparisons", "{{ 1~~ }}", "", " < 1"),
    ("conjunctions", "{{ 1~~ }}", "", " and 1"),
    ("conditions", "{{ 1~~ }}", "", " if 1 else 1"),
    ("tests", "{{ 1~~ }}", "", " is not none"),
    ("ifs", "~~", "{% if 1 %}", "{% endif %}"),
    ("elifs", "{% if 0 %}~~{% endif %}", "{% elif 0 %}", ""),
    ("fors", "~~", "{% for a in content %}", "{% endfor %}"),
    ("withs", "~~", "{% with a = 1 %}", "{% endwith %}"),
    ("verbatims", "~~", "{% verbatim %}", "{% endverbatim %}x"),
    ("autoescapes", "~~", "{% autoescape false %}", "{% endautoescape %}"),
];

/// The templates, by their names.
fn templates() -> Vec<(String, String)> {
    let of = |times: usize| {
        NESTED.iter().map(move |(name, around, before, after)| {
            let mut parts = around.split('~');
            let mut body = parts.next().unwrap_or_default().to_owned();
            body.push_str(&before.repeat(times));
            body.push_str(parts.next().unwrap_or_default());
            body.push_str(&after.repeat(times));
            parts.for_each(|part| body.push_str(part));
            (format!("{name}-{times}"), format!("#!/bin/sh\n{body}\n{{{{ content|safe }}}}\n"))
        })
    };
    TIMES.into_iter().flat_map(of).collect()
}

fn header(name: &str, value: impl Into<String>) -> (String, String) {
    (name.to_owned(), value.into())
}

/// Whoever has the operator's token.
struct Operator<'a> {
    scene: &'a Scene,
}

impl Operator<'_> {
    async fn call(&self, method: &str, path: &str, body: &serde_json::Value) -> Answer {
        let headers = [
            header("Authorization", format!("Bearer {}", self.scene.token)),
            header("Content-Type", "application/json"),
        ];
        ask(self.scene.place.http, method, path, &headers, Some(body.to_string().as_bytes())).await
    }

    /// A form is sent, by a browser that has logged in.
    async fn form(&self, path: &str, cookie: &str, fields: &[(&str, &str)]) -> Answer {
        let http = self.scene.place.http;
        let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let headers = [
            header("Origin", format!("http://{http}")),
            header("Content-Type", "application/x-www-form-urlencoded"),
            header("Cookie", cookie),
        ];
        ask(http, "POST", path, &headers, Some(form.as_bytes())).await
    }

    /// The cookie of a session, and what its forms say.
    async fn log_in(&self) -> (String, String) {
        let answer = self.form("/login", "", &[("token", &self.scene.token)]).await;
        let cookie = answer.headers["set-cookie"].split(';').next().expect("a cookie").to_owned();
        let page = ask(self.scene.place.http, "GET", "/", &[header("Cookie", &*cookie)], None).await;
        let page = String::from_utf8(page.body).expect("text");
        let (_, rest) = page.split_once("name=\"form_token\" value=\"").expect("a form");
        (cookie, rest.split_once('"').expect("its end").0.to_owned())
    }
}

/// That something was refused for what the template is, or taken because it is within bounds.
fn refused(door: &str, name: &str, answer: &Answer) {
    let text = String::from_utf8_lossy(&answer.body);
    let is_taken = (200..400).contains(&answer.status);
    assert!(answer.status < 500, "{door}, {name}: {} {text}", answer.status);
    assert!(!is_taken || may_be_taken(name), "{door} took {name}");
    assert!(is_taken || text.contains("template"), "{door}, {name}: {} {text}", answer.status);
}

/// What is nested within the bounds of a tag or of blocks; what is between `verbatim` and its end is text, however long.
fn may_be_taken(name: &str) -> bool {
    name.starts_with("verbatims") || name.ends_with("-400")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hostile_template_is_refused_on_every_interface_and_the_server_survives() {
    let scene = Scene::start().await;
    let operator = Operator { scene: &scene };
    let (cookie, form_token) = operator.log_in().await;
    let pid = scene.service.process.pid();
    for (name, body) in templates() {
        let answer = operator.call("POST", "/operator/v1/templates", &json!({"title": name, "body": body})).await;
        refused("the operator's API", &name, &answer);
        let fields = [
            ("form_token", form_token.as_str()),
            ("title", &format!("form {name}")),
            ("enabled", "yes"),
            ("project", "1"),
            ("body", &body),
        ];
        for path in ["/admin/templates/new", "/admin/templates/1"] {
            refused("the form", &name, &operator.form(path, &cookie, &fields).await);
        }
        let answer = operator.call("POST", "/api/v1/job_template/", &json!({"body": body})).await;
        assert_eq!(answer.status, 405, "nobody writes templates through the API of the original");
        let file = scene.folder().join("hostile.template");
        fs::write(&file, &body).expect("a file");
        let mut command = Command::new(env!("CARGO_BIN_EXE_job_runner"));
        without_settings(&mut command);
        command.args(["template", "add", &format!("command {name}")]).arg(&file);
        command.env("JOB_RUNNER_SERVER", format!("http://{}", scene.place.http));
        command.env("JOB_RUNNER_TOKEN_FILE", scene.folder().join("data/operator.token"));
        let output = tokio::task::block_in_place(|| command.output()).expect("a command");
        let said = String::from_utf8_lossy(&output.stderr);
        let is_taken = output.status.success();
        assert!(!is_taken || may_be_taken(&name), "{name} was taken");
        assert!(is_taken || said.contains("template"), "{name}: {said}");
    }
    assert_eq!(scene.service.process.pid(), pid);
    scene.leave().await;
}

/// As it may stand in the database of an earlier version, or of the original.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hostile_template_that_is_stored_is_refused_to_jobs_and_those_it_has_run_on() {
    let scene = Scene::start().await;
    let operator = Operator { scene: &scene };
    let (cookie, form_token) = operator.log_in().await;
    for (name, body) in templates() {
        scene.store_template(1, &body);
        let job = json!({
            "title": name, "job_template": "/api/v1/job_template/1/", "worker_pool": "/api/v1/worker_pool/1/",
            "script_content_partial": "echo",
        });
        refused("REST", &name, &operator.call("POST", "/api/v1/job/", &job).await);
        let title = format!("another {name}");
        let job =
            json!({"title": title, "script": "echo", "template": "template", "project": "project", "pool": "pool"});
        refused("the operator's API", &name, &operator.call("POST", "/operator/v1/jobs", &job).await);
        let page = ask(scene.place.http, "GET", "/admin/templates/1", &[header("Cookie", &*cookie)], None).await;
        assert_eq!(page.status, 200, "it can be looked at, and mended");
        let answer = operator.form("/jobs/1/run", &cookie, &[("form_token", &form_token)]).await;
        assert_eq!(answer.status, 303, "{name}: its job was whole before");
    }
    scene.executes(3).await;
    scene.leave().await;
}
