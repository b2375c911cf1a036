//! Accessibility: axe-core finds no serious issue in any view, light or dark. Also takes the screenshots.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::{Visitor, farm};
use crate::sample_installation::{self, Extent};
use crate::skip::skip;
use crate::stage::Stage;

/// The largest picture that is kept, in bytes.
const LARGEST: usize = 150_000;

/// A view, and how it is called.
struct View {
    name: &'static str,
    path: String,
}

/// Every view of an installation.
async fn views(stage: &Stage) -> Vec<View> {
    let extent = Extent { workers: 12, jobs: 60, runs: 600 };
    let (going, failed) = sample_installation::fill(stage, extent).await;
    let job = stage.run(failed).await.job;
    let (farm_job, [active, failed_task]) = farm::fill(stage).await;
    let view = |name, path: &str| View { name, path: path.to_owned() };
    vec![
        view("now", "/"),
        view("failed", "/?state=failed"),
        view("run", &format!("/runs/{going}")),
        view("failed-run", &format!("/runs/{failed}")),
        view("jobs", "/jobs"),
        view("job", &format!("/jobs/{job}")),
        view("workers", "/workers"),
        view("admin", "/admin"),
        view("admin-list", "/admin/jobs"),
        view("admin-form", &format!("/admin/jobs/{job}")),
        view("farm", "/farm"),
        view("farm-job", &format!("/farm/jobs/{farm_job}")),
        view("farm-task", &format!("/farm/tasks/{active}")),
        view("farm-failed-task", &format!("/farm/tasks/{failed_task}")),
    ]
}

/// The text of axe-core, if it can be had.
fn axe() -> Option<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let setup = Command::new(root.join("tests/axe/setup")).output().expect("the script starts");
    let said = String::from_utf8_lossy(&setup.stderr);
    match setup.status.code() {
        Some(0) => Some(std::fs::read_to_string(root.join("target/axe/axe.min.js")).expect("axe-core")),
        Some(3) => {
            let required = std::env::var("JOB_RUNNER_REQUIRE_INTEROP").is_ok_and(|value| value == "1");
            assert!(!required, "JOB_RUNNER_REQUIRE_INTEROP=1, but {said}");
            skip("no axe-core");
            None
        }
        _ => panic!("axe-core cannot be used: {said}"),
    }
}

/// What is serious of what it finds.
const JUDGE: &str = "axe.run(document, {resultTypes: ['violations']}).then(({violations}) => violations
    .filter((found) => ['serious', 'critical'].includes(found.impact))
    .map((found) => `${found.id}: ${found.nodes.map((node) => node.html).slice(0, 3).join(' ')}`))";

/// What makes a page wider than its window.
const WIDE: &str = "document.documentElement.scrollWidth <= document.documentElement.clientWidth ? [] :
    ['something'].concat([...document.querySelectorAll('body *')]
        .filter((element) => element.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
        .filter((element) => !element.closest('.table, pre, .screen, .picture')).map((element) => element.outerHTML.slice(0, 80)))";

#[tokio::test]
async fn axe_finds_no_serious_issue_in_any_view() {
    let Some(axe) = axe() else { return };
    let stage = farm::stage().await;
    let Some(mut visitor) = Visitor::of(&stage).await else { return };
    let mut views = views(&stage).await;
    views.push(View { name: "login", path: "/login".to_owned() });
    views.push(View { name: "nothing", path: "/runs/999999".to_owned() });
    let mut wrong = Vec::new();
    for View { name, path } in views {
        for dark in [false, true] {
            visitor.browser.dark(dark).await;
            visitor.go(&path).await;
            visitor.browser.evaluate(&axe).await;
            let found = visitor.browser.evaluate(JUDGE).await;
            if found != Value::Array(Vec::new()) {
                wrong.push(format!("{name}, dark: {dark}: {found}"));
            }
            for width in [320, 1280] {
                visitor.browser.size(width, 800).await;
                let wide = visitor.browser.evaluate(WIDE).await;
                if wide != Value::Array(Vec::new()) {
                    wrong.push(format!("{name} is wider than {width} pixels: {wide}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    stage.fixture.stop().await;
}

/// Makes the pictures of `docs/screenshots/`.
#[tokio::test]
#[ignore = "writes into docs/screenshots"]
async fn screenshots() {
    let stage = farm::stage().await;
    let Some(mut visitor) = Visitor::of(&stage).await else { return };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/screenshots");
    std::fs::create_dir_all(&folder).expect("a folder");
    for View { name, path } in views(&stage).await {
        for (kind, dark, width, height) in
            [("light", false, 1100, 650), ("dark", true, 1100, 650), ("phone", false, 390, 844)]
        {
            if kind == "phone" && !["now", "run"].contains(&name) {
                continue;
            }
            visitor.browser.dark(dark).await;
            visitor.browser.size(width, height).await;
            visitor.go(&path).await;
            visitor.browser.until("document.querySelector('#link.live') || !document.querySelector('#link')").await;
            visitor.browser.evaluate("document.fonts.ready.then(() => new Promise(requestAnimationFrame))").await;
            let log = "!document.querySelector('#log') || document.querySelector('#log .line:not(.absent)')";
            visitor.browser.until(log).await;
            let picture = visitor.browser.picture().await;
            std::fs::write(folder.join(format!("{name}-{kind}.png")), &picture).expect("a picture");
            assert!(picture.len() < LARGEST, "{name}-{kind}: {} bytes", picture.len());
        }
    }
    stage.fixture.stop().await;
}
