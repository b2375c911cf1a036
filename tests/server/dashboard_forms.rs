//! Forms of the dashboard: who may send one, and that a logout ends the session.

use chrono::Utc;
use jobrunner::run::RunId;
use jobrunner::server::domain::model::RunState;
use jobrunner::server::store::NewRun;

use crate::http::{Answer, ask};
use crate::stage::Stage;

fn header(name: &str, value: impl Into<String>) -> (String, String) {
    (name.to_owned(), value.into())
}

/// A browser that has logged in.
struct Browser<'a> {
    stage: &'a Stage,
    cookie: String,
}

impl<'a> Browser<'a> {
    async fn logged_in(stage: &'a Stage) -> Self {
        let login = format!("token={}", stage.fixture.app_state().token.expose());
        let answer = Self { stage, cookie: String::new() }.post("/login", &login, &[]).await;
        assert_eq!((answer.status, answer.headers["location"].as_str()), (303, "/"));
        let cookie = answer.headers["set-cookie"].split(';').next().expect("a cookie").to_owned();
        Self { stage, cookie }
    }

    fn ours(&self) -> (String, String) {
        header("Origin", format!("http://{}", self.stage.fixture.http()))
    }

    async fn get(&self, path: &str, cookie: &str) -> Answer {
        ask(self.stage.fixture.http(), "GET", path, &[header("Cookie", cookie)], None).await
    }

    /// Sends a form from a page of the server, or, with other headers, from elsewhere.
    async fn post(&self, path: &str, form: &str, headers: &[(String, String)]) -> Answer {
        let ours = [self.ours()];
        let mut headers = if headers.is_empty() { ours.to_vec() } else { headers.to_vec() };
        headers.push(header("Content-Type", "application/x-www-form-urlencoded"));
        headers.push(header("Cookie", &*self.cookie));
        ask(self.stage.fixture.http(), "POST", path, &headers, Some(form.as_bytes())).await
    }

    /// What the forms of its pages say.
    async fn form(&self) -> String {
        let page = self.get("/", &self.cookie).await;
        let page = String::from_utf8(page.body).expect("text");
        let (_, rest) = page.split_once("name=\"form_token\" value=\"").expect("a form");
        format!("form_token={}", rest.split_once('"').expect("its end").0)
    }
}

#[tokio::test]
async fn an_action_needs_a_form_of_this_server_and_this_session() {
    let stage = Stage::start(1).await;
    let job = stage.job(|_| {}).await;
    let later = Utc::now() + chrono::TimeDelta::hours(1);
    let run = stage.store().new_run(&NewRun::due(job.id, later)).await.expect("a run").id;
    let kill = format!("/runs/{run}/kill");
    let browser = Browser::logged_in(&stage).await;
    let other = Browser::logged_in(&stage).await;
    let form = browser.form().await;
    let stands = async |stage: &Stage, run: RunId| stage.run(run).await.state();

    let (ours, stranger) = (browser.ours(), Browser { stage: &stage, cookie: String::new() });
    assert_eq!(stranger.post(&kill, &form, &[]).await.status, 401);
    for (what, form, headers) in [
        ("no token", "", vec![]),
        ("a wrong token", "form_token=00", vec![]),
        ("the token of another session", &*other.form().await, vec![]),
        ("no origin", &*form, vec![header("Accept", "*/*")]),
        ("another origin", &*form, vec![header("Origin", "http://evil.example.com")]),
        ("another port", &*form, vec![header("Origin", "http://127.0.0.1:1")]),
        ("a hidden origin", &*form, vec![header("Origin", "null")]),
        ("another site", &*form, vec![ours.clone(), header("Sec-Fetch-Site", "cross-site")]),
    ] {
        assert_eq!(browser.post(&kill, form, &headers).await.status, 403, "{what}");
    }
    let json = [ours.clone(), header("Content-Type", "text/plain"), header("Cookie", &*browser.cookie)];
    let answer = ask(stage.fixture.http(), "POST", &kill, &json, Some(form.as_bytes())).await;
    assert_eq!(answer.status, 400);
    // With a good form, but to read only.
    assert_eq!(browser.get(&format!("{kill}?{form}"), &browser.cookie).await.status, 405);
    assert_eq!(stands(&stage, run).await, RunState::Scheduled);

    let answer = browser.post(&kill, &form, &[]).await;
    assert_eq!((answer.status, answer.headers["location"].clone()), (303, format!("/runs/{run}")));
    assert_eq!(stands(&stage, run).await, RunState::Completed);

    // What was done is told once, to who did it.
    let notice = answer.headers["set-cookie"].split(';').next().expect("a cookie").to_owned();
    let said = format!("Run {run} was cancelled.");
    let page = browser.get("/", &format!("{}; {notice}", browser.cookie)).await;
    assert!(String::from_utf8_lossy(&page.body).contains(&said));
    assert!(page.headers["set-cookie"].contains("Max-Age=0"), "{:?}", page.headers);
    let page = other.get("/", &format!("{}; {notice}", other.cookie)).await;
    assert!(!String::from_utf8_lossy(&page.body).contains(&said));
    stage.fixture.stop().await;
}

#[tokio::test]
async fn a_logout_ends_the_session() {
    let stage = Stage::start(0).await;
    let browser = Browser::logged_in(&stage).await;
    let answer = browser.post("/logout", &browser.form().await, &[]).await;
    assert_eq!((answer.status, answer.headers["location"].as_str()), (303, "/login"));
    let cookie = &answer.headers["set-cookie"];
    assert!(cookie.contains("Max-Age=0") && cookie.starts_with(browser.cookie.split_once('=').expect("a name").0));
    let wrong = browser.post("/login", "token=wrong", &[]).await;
    assert_eq!(wrong.status, 401);
    let foreign = [header("Origin", "http://evil.example.com")];
    assert_eq!(browser.post("/login", "token=wrong", &foreign).await.status, 403);
    stage.fixture.stop().await;
}
