//! The dashboard in a real browser: what happens is seen without a reload, and what is asked for is done.

mod accessibility;
mod admin;
mod chromium;
mod farm;
mod job;
mod lanes;
mod log;
mod run;
mod workers;

use chrono::Utc;
use jobrunner::server::identity::session::{Session, cookie_name};

use crate::skip::skip;
use crate::stage::Stage;
pub use chromium::Chromium;

/// A browser that has logged in at the server of a stage; nothing where none is installed.
pub struct Visitor {
    pub browser: Chromium,
    pub base: String,
    _profile: tempfile::TempDir,
}

impl Visitor {
    pub async fn of(stage: &Stage) -> Option<Self> {
        let profile = tempfile::tempdir().expect("a folder");
        let Some(mut browser) = Chromium::start(profile.path()).await else {
            skip("no chromium");
            return None;
        };
        let http = stage.fixture.http();
        let (_, cookie) = Session::begin(&stage.fixture.app_state().token, Utc::now()).expect("something random");
        browser.set_cookie(&format!("http://{http}/"), &cookie_name(http.port()), &cookie).await;
        Some(Self { browser, base: format!("http://{http}"), _profile: profile })
    }

    /// Goes to a page, and waits until it is live.
    pub async fn go_live(&mut self, path: &str) {
        self.go(path).await;
        self.browser.until("document.querySelector('#link.live')").await;
        self.browser.evaluate("window.sameAsBefore = true").await;
    }

    pub async fn go(&mut self, path: &str) {
        self.browser.go(&format!("{}{path}", self.base)).await;
    }

    /// Fails if the page was loaded again since [`Visitor::go_live`].
    pub async fn is_the_same_page(&mut self) {
        assert_eq!(self.browser.evaluate("window.sameAsBefore").await, true, "the page was loaded again");
    }

    /// The text of an element.
    pub async fn text(&mut self, element: &str) -> String {
        let text = self.browser.evaluate(&format!("document.querySelector({element:?}).textContent")).await;
        text.as_str().expect("text").to_owned()
    }
}
