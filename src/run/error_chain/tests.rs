//! Tests of error chains as text.

use std::fmt;

use super::*;

#[derive(Debug)]
struct Layered(&'static str, Option<Box<Layered>>);

impl fmt::Display for Layered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Error for Layered {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.1.as_deref().map(|cause| cause as &(dyn Error + 'static))
    }
}

fn layered(texts: &[&'static str]) -> Layered {
    let (first, causes) = texts.split_first().expect("at least one error");
    Layered(first, (!causes.is_empty()).then(|| Box::new(layered(causes))))
}

#[test]
fn an_error_stands_before_its_causes() {
    assert_eq!(chain_of(&layered(&["claim failed", "no answer", "timed out"])), "claim failed: no answer: timed out");
    assert_eq!(chain_of(&layered(&["claim failed"])), "claim failed");
}

#[test]
fn a_cause_that_is_in_the_message_already_is_written_once() {
    assert_eq!(chain_of(&layered(&["disk full: no space", "no space"])), "disk full: no space");
    assert_eq!(chain_of(&layered(&["one", "two", "two", "three"])), "one: two: three");
}
