use chrono::DateTime;
use chrono_tz::Tz;

use super::sentence;
use crate::run::RunId;
use crate::server::domain::model::JobId;
use crate::server::domain::sentence::Sentence;

#[test]
fn runs_and_jobs_are_links_and_times_are_in_the_readers_zone() {
    let at = DateTime::from_timestamp(1_764_000_000, 0).unwrap();
    let said = Sentence::from("run ").and(RunId::new(12).unwrap()).and(" of job ").and(JobId::new(7).unwrap());
    let said = said.and(" is due since ").and(at).and(", as run 5 said");
    insta::assert_snapshot!(sentence(&said, Tz::Europe__Amsterdam).to_string(), @r#"run <a href="/runs/12">12</a> of job <a href="/jobs/7">7</a> is due since <time datetime="2025-11-24T16:00:00.000Z" title="2025-11-24 16:00:00 UTC">2025-11-24 17:00:00</time>, as run 5 said"#);
}

#[test]
fn text_from_outside_is_escaped_and_never_a_link() {
    let said = Sentence::from("the job is disabled: see run 1 <b>");
    assert_eq!(sentence(&said, Tz::UTC).to_string(), "the job is disabled: see run 1 &lt;b&gt;");
}
