use chrono_tz::Tz;

use super::{pieces, sentence};

fn shown(text: &str) -> String {
    let pieces = pieces(text, Tz::UTC);
    let piece = |piece: &minijinja::Value| {
        let part = |name: &str| piece.get_attr(name).ok().filter(|value| !value.is_undefined());
        match (part("path"), part("time")) {
            (Some(path), _) => format!("[{path} {}]", part("text").unwrap()),
            (_, Some(time)) => format!("[{time}]"),
            _ => part("text").unwrap().to_string(),
        }
    };
    pieces.iter().map(piece).collect()
}

#[test]
fn what_is_named_can_be_followed() {
    insta::assert_snapshot!(shown("run 12 is due since 2026-11-24T09:00:00.000Z and waits: run 11 of the job is not over yet"), @r#"run [runs 12] is due since [<time datetime="2026-11-24T09:00:00.000Z" title="2026-11-24 09:00:00 UTC">2026-11-24 09:00:00</time>] and waits: run [runs 11] of the job is not over yet"#);
    assert_eq!(shown("it runs after job 3, then job 4."), "it runs after job [jobs 3], then job [jobs 4].");
    for plain in ["the job is disabled: run -3, job +4, run 1x", "no worker 12 answers", "", "run"] {
        assert_eq!(shown(plain), plain);
    }
}

#[test]
fn what_comes_from_outside_is_escaped() {
    assert_eq!(sentence("run 1 <b>", Tz::UTC).to_string(), "run <a href=\"/runs/1\">1</a> &lt;b&gt;");
}
