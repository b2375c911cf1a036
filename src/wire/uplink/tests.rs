use super::*;
use crate::run::RunId;

fn run(id: i64) -> RunId {
    RunId::new(id).expect("an id")
}

#[test]
fn a_message_is_a_line_and_a_body() {
    let call = CallHead { call: 7, method: "GET".to_owned(), path: "/x/".to_owned(), attempt: None, from: None };
    let bytes = message(&call, b"a\nb");
    assert_eq!(bytes, b"{\"call\":7,\"method\":\"GET\",\"path\":\"/x/\"}\na\nb");
    let (head, body) = parts(&bytes);
    assert_eq!((serde_json::from_slice::<CallHead>(head).expect("a head"), body), (call, &b"a\nb"[..]));
    assert_eq!(parts(b"{}"), (&b"{}"[..], &b""[..]));
    let endless = vec![b'x'; MAX_HEAD + 10];
    assert_eq!(parts(&endless).1, b"");
}

#[test]
fn answers_and_orders_are_told_apart() {
    let answer = AnswerHead {
        answer: 7,
        status: 202,
        location: None,
        attempt: Some(2),
        request: Some("7 sleep".to_owned()),
        refused: None,
    };
    assert_eq!(said(&message(&answer, b"x")), Ok(ServerFrame::Answer(answer, b"x")));
    assert_eq!(said(br#"{"action":"ping"}"#), Ok(ServerFrame::Order(Order::Ping)));
    assert_eq!(said(br#"{"action":"enqueue","run_id":3}"#), Ok(ServerFrame::Order(Order::Enqueue(run(3)))));
    let due = EnqueueHead { action: "enqueue".to_owned(), run_id: 3, run_bytes: 2, job_version: None };
    let content = DueContent { run: b"rr", job: b"jj", version: None };
    assert_eq!(said(&message(&due, b"rrjj")), Ok(ServerFrame::Due(Order::Enqueue(run(3)), content.clone())));
    let version = Some(JobVersion::of(7, b"jj"));
    let known = EnqueueHead { job_version: version.clone(), ..due.clone() };
    let content = DueContent { job: b"", version, ..content };
    assert_eq!(said(&message(&known, b"rr")), Ok(ServerFrame::Due(Order::Enqueue(run(3)), content)));
    assert_eq!(
        said(&message(&due, b"r")),
        Ok(ServerFrame::Order(Order::Enqueue(run(3)))),
        "cut short: a hint all the same"
    );
    assert!(said(b"\xff").is_err());
    assert_eq!(said(b"{}"), Err(NoOrder::NoAction));
}

#[test]
fn an_upgrade_has_a_time_and_a_nonce_once_each() {
    let nonce = "0123456789abcdef";
    assert_eq!(asked(&query(1_700_000_000, nonce)), Some((1_700_000_000, nonce)));
    for bad in ["", "ts=1", "nonce=0123456789abcdef", "ts=x&nonce=0123456789abcdef", "ts=1&nonce=short"] {
        assert_eq!(asked(bad), None, "{bad}");
    }
    assert_eq!(asked(&format!("ts=1&ts=2&nonce={nonce}")), None);
    assert_eq!(asked(&format!("ts=1&nonce={}", "x".repeat(65))), None);
    assert_eq!(asked(&format!("ts=1&nonce={nonce}%00")), None);
}

#[test]
fn the_latest_version_that_both_know_is_spoken() {
    let latest = |values: &[&str]| UplinkVersion::latest(values.iter().map(|value| value.as_bytes()));
    assert_eq!(latest(&["1"]), Some(UplinkVersion::One));
    assert_eq!(latest(&["1", "2"]), Some(UplinkVersion::Two));
    assert_eq!(latest(&["2, 1"]), Some(UplinkVersion::Two), "as a proxy may join them");
    assert_eq!(latest(&["1", "2", "3"]), Some(UplinkVersion::Two), "a later worker asks for more");
    assert_eq!(latest(&["3", "", "one"]), None);
    assert_eq!(latest(&[]), None);
}

#[test]
fn an_answer_names_a_refused_part_only_where_there_is_one() {
    let answer = br#"{"answer":7,"status":409,"refused":"result"}"#;
    let Ok(ServerFrame::Answer(head, _)) = said(answer) else { panic!("an answer") };
    assert_eq!((head.status, head.refused), (409, Some(TellPart::Result)));
    assert!(message(&AnswerHead { refused: None, ..head }, &[]).starts_with(br#"{"answer":7,"status":409}"#));
}
