//! Bodies of the REST API and of the operator's: whatever is sent, the server does not fail.
//!
//! The first line of an input says who asks and for what (`operator POST /operator/v1/jobs`,
//! `worker@1 PATCH /api/v1/run/1/`); the rest is the body.

#![no_main]

use libfuzzer_sys::{Corpus, fuzz_target};
use stage::{Asker, ask, is_failure};

/// What never ends by itself, and what is another target's.
const LEFT_OUT: &[&str] = &["/follow", "?"];

fuzz_target!(|data: &[u8]| -> Corpus {
    let Some((asker, method, path, body)) = request(data) else { return Corpus::Reject };
    match ask(asker, method, path, body) {
        Some((status, answer)) => {
            assert!(!is_failure(status, &answer), "{method} {path}: {status} {}", String::from_utf8_lossy(&answer));
            Corpus::Keep
        }
        None => Corpus::Reject,
    }
});

fn request(data: &[u8]) -> Option<(Asker, &str, &str, &[u8])> {
    let end = data.iter().position(|byte| *byte == b'\n')?;
    let mut words = str::from_utf8(&data[..end]).ok()?.split(' ');
    let (asker, method, path) = (words.next()?, words.next()?, words.next()?);
    let asker = match asker.strip_prefix("worker") {
        Some("") => Asker::Worker(None),
        Some(attempt) => Asker::Worker(Some(attempt.strip_prefix('@')?.parse().ok()?)),
        None if asker == "operator" => Asker::Operator,
        None => return None,
    };
    let is_sent = matches!(method, "GET" | "POST" | "PATCH" | "PUT");
    let is_here = path.starts_with('/') && !LEFT_OUT.iter().any(|part| path.contains(part));
    (is_sent && is_here && words.next().is_none()).then_some((asker, method, path, &data[end + 1..]))
}
