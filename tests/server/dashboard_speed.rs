//! Speed of the dashboard beside a long history.

use std::time::{Duration, Instant};

use chrono::Utc;
use jobrunner::server::identity::session::{Session, cookie_name};

use crate::http::ask;
use crate::sample_installation::{self, Extent};
use crate::stage::Stage;

const TIMES: usize = 40;
/// What a view may take at most, of a release build.
const AT_MOST: Duration = Duration::from_millis(100);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures a release build"]
async fn views_are_quick_beside_a_hundred_thousand_runs() {
    let stage = Stage::start(0).await;
    let (going, failed) = sample_installation::fill(&stage, Extent { workers: 50, jobs: 500, runs: 100_000 }).await;
    let http = stage.fixture.http();
    let (_, cookie) = Session::begin(&stage.fixture.app_state().token, Utc::now()).expect("something random");
    let cookie = [("Cookie".to_owned(), format!("{}={cookie}", cookie_name(http.port())))];
    for (name, path) in [
        ("first view", "/".to_owned()),
        ("lanes of a project", "/?project=2".to_owned()),
        ("filter by text", "/?q=certificates+nl".to_owned()),
        ("filter by text that is nowhere", "/?q=nowhere".to_owned()),
        ("filter by state", "/?state=failed&project=3".to_owned()),
        ("filter by job", "/?job=17&state=completed".to_owned()),
        ("run that goes on", format!("/runs/{going}")),
        ("run that is over", format!("/runs/{failed}")),
        ("lanes read anew", "/parts/now?lane=claimed&lane=running".to_owned()),
    ] {
        let mut took = Vec::new();
        let mut weight = 0;
        for _ in 0..TIMES {
            let begin = Instant::now();
            let answer = ask(http, "GET", &path, &cookie, None).await;
            took.push(begin.elapsed());
            assert_eq!(answer.status, 200, "{path}");
            weight = answer.body.len();
        }
        let first = took[0];
        took.sort_unstable();
        let (median, worst) = (took[TIMES / 2], took[TIMES - 1]);
        println!("{name:<32} first {first:>8.1?}  median {median:>8.1?}  worst {worst:>8.1?}  {weight} bytes");
        assert!(cfg!(debug_assertions) || median < AT_MOST, "{name}: {median:?}");
    }
    stage.fixture.stop().await;
}
