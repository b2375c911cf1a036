use super::{read, reason_facts};
use crate::server::domain::fire::{FireKind, sample};
use crate::wire::reason::ReasonParams;

#[test]
fn every_reason_is_read_as_it_was_written() {
    for reason in sample::reasons() {
        let (code, params) = reason_facts(&reason);
        let text = serde_json::to_string(&params).expect("plain data");
        let params: ReasonParams = serde_json::from_str(&text).expect("what was written");
        assert_eq!(read(reason.kind(), code, &params).expect("a reason"), reason, "{code} {text}");
    }
}

#[test]
fn codes_and_parameters_are_kept_as_they_are() {
    let reasons = sample::reasons();
    let stored = reasons.iter().map(|reason| {
        let (code, params) = reason_facts(reason);
        format!("{} {code} {}", reason.kind().word(), serde_json::to_string(&params).expect("plain data"))
    });
    insta::assert_snapshot!(stored.collect::<Vec<_>>().join("\n"));
}

#[test]
fn a_reason_that_nobody_wrote_is_none() {
    let of_run = ReasonParams { run: Some(5), ..ReasonParams::default() };
    for (code, params) in [("unheard_of", &of_run), ("active", &ReasonParams::default()), ("worker_lost", &of_run)] {
        assert!(read(FireKind::Delayed, code, params).is_none(), "{code}");
    }
}
