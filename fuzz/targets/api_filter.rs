//! Queries of lists: whatever is asked for, the server does not fail, and a page of a list is no longer than it may be.
//!
//! An input is what stands behind `/api/v1/`: `run/?state=started&job__title__contains=a`.

#![no_main]

use libfuzzer_sys::{Corpus, fuzz_target};
use serde_json::Value;
use stage::{Asker, ask, is_failure};

/// The most objects of one page.
const MOST: usize = 1000;

fuzz_target!(|data: &[u8]| -> Corpus {
    let Ok(query) = str::from_utf8(data) else { return Corpus::Reject };
    let path = format!("/api/v1/{query}");
    let Some((status, answer)) = ask(Asker::Operator, "GET", &path, &[]) else { return Corpus::Reject };
    assert!(!is_failure(status, &answer), "{path}: {status} {}", String::from_utf8_lossy(&answer));
    let objects =
        serde_json::from_slice::<Value>(&answer).ok().and_then(|answer| Some(answer["objects"].as_array()?.len()));
    assert!(objects.is_none_or(|objects| objects <= MOST), "{path}: {objects:?} objects");
    Corpus::Keep
});
