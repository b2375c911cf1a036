//! Differences from the original's answers, each with its reason.

use crate::replay::Recorded;

/// What is answered instead.
#[derive(Clone, Copy, Debug)]
pub enum Instead {
    /// Another status.
    Status(u16),
    /// A list of these ids.
    Objects(&'static [i64]),
    /// A field with this JSON.
    Field(&'static str, &'static str),
}

/// One difference.
#[derive(Clone, Copy, Debug)]
pub struct Difference {
    file: &'static str,
    who: &'static str,
    call: &'static str,
    /// What stands in the body.
    body: &'static str,
    pub instead: Instead,
    pub reason: &'static str,
}

impl Difference {
    /// Whether a call is meant.
    pub fn is_of(&self, file: &str, recorded: &Recorded) -> bool {
        let call = format!("{} {}", recorded.method, recorded.path);
        let body = recorded.body.as_deref().unwrap_or_default();
        self.file == file && self.who == recorded.who && self.call == call && body.contains(self.body)
    }
}

const fn differs(
    file: &'static str,
    who: &'static str,
    call: &'static str,
    body: &'static str,
    instead: Instead,
    reason: &'static str,
) -> Difference {
    Difference { file, who, call, body, instead, reason }
}

const RUNNING: &str = "4-running";
const SCHEDULING: &str = "6-scheduling";
const TRESPASSING: &str = "7-trespassing";

const ONCE: &str = "completion follows once: a result that is said again has no second child";
const FINAL: &str = "a run that is over does not change";
const VERIFIED: &str = "who one is was verified, not read from a header";
const OURS: &str = "a log that was lost on the way back is said again, and replaces itself";
const ONE: &str = "one worker executes a run: the second claim is refused";
const RULES: &str = "a script that no worker could start is refused at every door";
const NONSENSE: &str = "no credentials are no failure of the server";

use Instead::{Field, Objects, Status};

pub const DIFFERENCES: &[Difference] = &[
    differs(RUNNING, "web1", "POST /api/v1/run_log/", "a second time", Status(201), OURS),
    differs(RUNNING, "web1", "GET /api/v1/run/?job=2&state=scheduled", "", Objects(&[22]), ONCE),
    differs(SCHEDULING, "session", "PATCH /api/v1/job/6/", "a < b", Status(400), RULES),
    differs(
        SCHEDULING,
        "session",
        "GET /api/v1/job/6/",
        "",
        Field("script_content_partial", r#""a < b && c > \"d\"""#),
        RULES,
    ),
    differs(TRESPASSING, "session junk", "PATCH /api/v1/job/1/", "", Status(401), VERIFIED),
    differs(TRESPASSING, "session junk", "POST /api/v1/run/", "", Status(401), VERIFIED),
    differs(TRESPASSING, "session junk", "GET /api/v1/run/1/", "", Status(401), VERIFIED),
    differs(TRESPASSING, "session basic", "GET /api/v1/run/1/", "", Status(401), NONSENSE),
    differs(TRESPASSING, "session basic", "GET /api/v1/worker/", "", Status(401), NONSENSE),
    differs(TRESPASSING, "web2", "PATCH /api/v1/run/13/", "", Status(401), ONE),
    differs(TRESPASSING, "web1", "PATCH /api/v1/run/2/", "pid", Status(409), FINAL),
    differs(TRESPASSING, "web1", "GET /api/v1/run/?job=2&state=scheduled", "", Objects(&[]), ONCE),
    differs(TRESPASSING, "web1", "PATCH /api/v1/run/2/", "return_dts", Status(409), FINAL),
    differs(TRESPASSING, "web1", "GET /api/v1/run/2/", "", Field("return_success", "true"), FINAL),
];
