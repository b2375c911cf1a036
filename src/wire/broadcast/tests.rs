//! Orders: one is taken only from a well-formed object for the worker's own topic.

use proptest::prelude::*;

use super::*;

const TOPIC: &str = "master.broadcast.testworker";

fn run(id: i64) -> Order {
    Order::Enqueue(RunId::new(id).expect("a run"))
}

fn kill(id: i64) -> Order {
    Order::Kill(KillId::new(id).expect("a kill request"))
}

fn not_json(content: impl AsRef<[u8]>) {
    let content = content.as_ref();
    assert!(matches!(object(content), Err(NoOrder::NotJson(_))), "{}: {:?}", shown(content), object(content));
}

#[test]
fn the_messages_of_the_original_are_orders() {
    let recorded = include_str!("../../../tests/fixtures/wire/broadcasts.jsonl");
    let orders: Vec<_> = recorded.lines().map(|line| order(&[TOPIC.as_bytes(), line.as_bytes()], TOPIC)).collect();
    assert_eq!(orders, [Ok(run(12)), Ok(run(12)), Ok(kill(3)), Ok(kill(3)), Ok(Order::Ping)]);
}

#[test]
fn what_is_written_is_read_again() {
    for wanted in [run(12), kill(3), Order::Ping] {
        assert_eq!(order(&[TOPIC.as_bytes(), text(wanted).as_bytes()], TOPIC), Ok(wanted));
    }
}

#[test]
fn the_key_is_read_off_the_topic() {
    assert_eq!(key_of(TOPIC.as_bytes()).map(|key| key.to_string()).as_deref(), Some("testworker"));
    for other in ["", "master.broadcast.", "worker.event", "master.broadcast.a b", "master.broadcast.\n"] {
        assert_eq!(key_of(other.as_bytes()), None, "{other:?}");
    }
    assert_eq!(key_of(b"master.broadcast.\xff"), None);
}

#[test]
fn a_topic_is_made_of_the_key() {
    assert_eq!(topic(&ApiKey::parse("testworker").expect("a key")), TOPIC);
}

#[test]
fn a_message_has_exactly_two_frames() {
    let ping = br#"{"action":"ping"}"#.as_slice();
    let frames = [TOPIC.as_bytes(), ping, ping];
    for count in [0, 1, 3] {
        assert_eq!(order(&frames[..count], TOPIC), Err(NoOrder::Frames(count)));
    }
    assert_eq!(order(&vec![ping; 1000], TOPIC), Err(NoOrder::Frames(1000)));
}

#[test]
fn empty_frames_are_no_order() {
    assert_eq!(order(&[b"".as_slice(), b"{}"], TOPIC), Err(NoOrder::OtherTopic));
    assert!(matches!(order(&[TOPIC.as_bytes(), b"".as_slice()], TOPIC), Err(NoOrder::NotJson(_))));
}

#[test]
fn the_topic_is_matched_as_a_whole() {
    let ping = br#"{"action":"ping"}"#.as_slice();
    for other in [
        "master.broadcast.testworker0",
        "master.broadcast.testworke",
        "master.broadcast.",
        "Master.broadcast.testworker",
    ] {
        assert_eq!(order(&[other.as_bytes(), ping], TOPIC), Err(NoOrder::OtherTopic), "{other}");
    }
    assert_eq!(order(&[TOPIC.as_bytes(), ping], TOPIC), Ok(Order::Ping));
}

#[test]
fn json_that_is_no_object_is_no_order() {
    for content in ["null", "[]", "\"x\"", "1", "NaN", "true", "", " ", "[{\"action\":\"ping\"}]", "\"{}\""] {
        not_json(content);
    }
}

#[test]
fn what_is_not_json_is_no_order() {
    for content in ["{", "{action:ping}", "{\"action\":NaN}", "{'action':'ping'}", "{\"action\":\"ping\"", "ping"] {
        not_json(content);
    }
}

#[test]
fn nothing_may_stand_behind_the_object() {
    for content in ["{\"action\":\"ping\"}x", "{\"action\":\"ping\"}{}", "{\"action\":\"ping\"},"] {
        not_json(content);
    }
    assert_eq!(object(b" \r\n\t{\"action\":\"ping\"}\n "), Ok(Order::Ping));
    assert_eq!(object(text(Order::Attend).as_bytes()), Ok(Order::Attend));
}

#[test]
fn a_key_said_twice_is_no_order() {
    not_json(r#"{"action":"ping","action":"ping"}"#);
    not_json(r#"{"action":"enqueue","run_id":1,"run_id":2}"#);
    not_json(r#"{"action":"kill","kill_request_id":1,"kill_request_id":1}"#);
}

#[test]
fn deep_nesting_is_no_order_where_it_counts_and_harmless_where_not() {
    let (open, close) = ("[".repeat(10_000), "]".repeat(10_000));
    not_json(format!("{open}{close}"));
    not_json(format!(r#"{{"action":{open}{close}}}"#));
    not_json(format!(r#"{{"action":"enqueue","run_id":{open}{close}}}"#));
    let ignored = format!(r#"{{"other":{open}{close},"action":"ping"}}"#);
    assert_eq!(object(ignored.as_bytes()), Ok(Order::Ping));
    not_json("{\"other\":".repeat(10_000));
}

#[test]
fn text_in_no_utf8_is_no_order() {
    not_json(b"{\"action\":\"p\xffing\"}");
    not_json(b"\xff\xfe{\0\"\0");
    not_json(b"{\"action\":\"\\ud800\"}");
    let utf16: Vec<u8> = "{\"action\":\"ping\"}".encode_utf16().flat_map(u16::to_le_bytes).collect();
    not_json(utf16);
}

#[test]
fn a_byte_order_mark_is_accepted_once() {
    assert_eq!(object(b"\xef\xbb\xbf{\"action\":\"ping\"}"), Ok(Order::Ping));
    not_json(b"\xef\xbb\xbf\xef\xbb\xbf{\"action\":\"ping\"}");
}

#[test]
fn an_object_without_an_action_is_no_order() {
    for content in ["{}", r#"{"action":null}"#, r#"{"run_id":1}"#, r#"{"Action":"ping"}"#] {
        assert_eq!(object(content.as_bytes()), Err(NoOrder::NoAction), "{content}");
    }
}

#[test]
fn events_that_a_websocket_server_repeats_are_no_orders() {
    let event = br#"{"event":"enqueued","run_id":1,"kind":"run"}"#;
    assert_eq!(object(event), Err(NoOrder::NoAction));
}

#[test]
fn an_unknown_action_is_told_by_its_beginning() {
    for (action, told) in [
        (r#""restart""#, "restart"),
        (r#""Enqueue""#, "Enqueue"),
        (r#""PING""#, "PING"),
        (r#"" ping""#, " ping"),
        (r#""""#, ""),
        ("1", "1"),
        ("true", "true"),
        (r#"["ping"]"#, "[\"ping\"]"),
        (r#"{"ping":1}"#, "{\"ping\":1}"),
    ] {
        let content = format!(r#"{{"action":{action},"run_id":1}}"#);
        assert_eq!(object(content.as_bytes()), Err(NoOrder::UnknownAction(told.to_owned())), "{content}");
    }
    let long = format!(r#"{{"action":"{}"}}"#, "é".repeat(1000));
    assert_eq!(object(long.as_bytes()), Err(NoOrder::UnknownAction("é".repeat(40))));
}

#[test]
fn an_order_without_its_id_is_none() {
    assert_eq!(object(br#"{"action":"enqueue"}"#), Err(NoOrder::BadId("run_id")));
    assert_eq!(object(br#"{"action":"enqueue","kill_request_id":1}"#), Err(NoOrder::BadId("run_id")));
    assert_eq!(object(br#"{"action":"kill"}"#), Err(NoOrder::BadId("kill_request_id")));
    assert_eq!(object(br#"{"action":"kill","run_id":1}"#), Err(NoOrder::BadId("kill_request_id")));
}

/// JSON values that are not positive integers.
const BAD_IDS: [&str; 29] = [
    "0",
    "-1",
    "-0",
    "1.5",
    "1.0",
    "1e3",
    "1E3",
    "true",
    "false",
    "null",
    "[1]",
    "[]",
    "{}",
    r#"{"id":1}"#,
    "9223372036854775808",
    "18446744073709551616",
    "-9223372036854775809",
    "1e400",
    r#""""#,
    r#"" 7""#,
    r#""7 ""#,
    r#""+7""#,
    r#""-7""#,
    r#""0""#,
    r#""0x7""#,
    r#""7.0""#,
    r#""٧""#,
    r#""9223372036854775808""#,
    r#""seven""#,
];

#[test]
fn an_id_that_is_no_positive_integer_is_no_order() {
    for id in BAD_IDS {
        for (action, key) in [("enqueue", "run_id"), ("kill", "kill_request_id")] {
            let content = format!(r#"{{"action":"{action}","{key}":{id}}}"#);
            let answer = object(content.as_bytes());
            assert!(matches!(answer, Err(NoOrder::BadId(_) | NoOrder::NotJson(_))), "{content}: {answer:?}");
        }
    }
}

#[test]
fn an_id_that_would_be_another_path_is_no_order() {
    for id in ["../kill_request/1", "7/../", "1/?x=", "7 HTTP/1.0\\r\\nX:", "%2e%2e", "7#", "7\\u0000", "7\\n"] {
        let content = format!(r#"{{"action":"enqueue","run_id":"{id}"}}"#);
        assert_eq!(object(content.as_bytes()), Err(NoOrder::BadId("run_id")), "{content}");
    }
}

#[test]
fn an_id_may_be_digits_in_a_string_as_the_original_took_them() {
    assert_eq!(object(br#"{"action":"enqueue","run_id":"7"}"#), Ok(run(7)));
    assert_eq!(object(br#"{"action":"kill","kill_request_id":"007"}"#), Ok(kill(7)));
}

#[test]
fn a_large_id_is_exact_or_none() {
    for id in [1, 1 << 53, (1 << 53) + 1, i64::MAX] {
        let content = format!(r#"{{"action":"enqueue","run_id":{id}}}"#);
        assert_eq!(object(content.as_bytes()), Ok(run(id)), "{content}");
    }
}

#[test]
fn what_else_an_object_says_is_ignored() {
    let content = br#"{"seq":[1,{"a":null}],"action":"enqueue","sig":"x","run_id":7,"kill_request_id":"junk"}"#;
    assert_eq!(object(content), Ok(run(7)));
    assert_eq!(object(br#"{"action":"ping","run_id":-1}"#), Ok(Order::Ping));
}

#[test]
fn at_most_two_hundred_bytes_of_a_message_are_shown_and_escaped() {
    assert_eq!(shown(b""), "");
    assert_eq!(shown(b"{\"a\":\n\x1b[31m\xff}"), r#"{\"a\":\n\x1b[31m\xff}"#);
    assert_eq!(shown(&[b'x'; 200]), "x".repeat(200));
    assert_eq!(shown(&[b'x'; 201]), "x".repeat(200) + "…");
    assert_eq!(shown(&vec![0; MAX_FRAME]), "\\x00".repeat(200) + "…");
}

/// Generates bytes that resemble a message.
fn any_message() -> impl Strategy<Value = Vec<u8>> {
    let value = || {
        prop_oneof![
            Just("\"enqueue\"".to_owned()),
            Just("\"kill\"".to_owned()),
            Just("\"ping\"".to_owned()),
            any::<i64>().prop_map(|id| id.to_string()),
            any::<f64>().prop_map(|id| id.to_string()),
            "\"[0-9a-z/.%]{0,8}\"",
            "[\\[\\]{}:,a-z0-9\"]{0,8}",
        ]
    };
    let key = prop_oneof![Just("action"), Just("run_id"), Just("kill_request_id"), Just("other")];
    let object = proptest::collection::vec((key, value()), 0..4).prop_map(|fields| {
        let fields: Vec<_> = fields.iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
        format!("{{{}}}", fields.join(",")).into_bytes()
    });
    prop_oneof![object, proptest::collection::vec(any::<u8>(), 0..100)]
}

proptest! {
    #[test]
    fn any_bytes_are_an_order_or_a_reason(content in any_message()) {
        match object(&content) {
            Ok(Order::Enqueue(id)) => prop_assert!(id.get() > 0),
            Ok(Order::Kill(id)) => prop_assert!(id.get() > 0),
            Ok(Order::Ping | Order::Attend) => {}
            Err(why) => prop_assert!(!why.to_string().is_empty()),
        }
    }

    #[test]
    fn any_frames_are_an_order_or_a_reason(frames in proptest::collection::vec(any_message(), 0..4)) {
        prop_assert!(frames.len() == 2 || order(&frames, TOPIC) == Err(NoOrder::Frames(frames.len())));
        let _ = order(&frames, TOPIC);
    }

    #[test]
    fn any_bytes_are_shown_in_one_line_of_ascii(content in proptest::collection::vec(any::<u8>(), 0..300)) {
        let shown = shown(&content);
        prop_assert!(shown.trim_end_matches('…').bytes().all(|byte| (0x20..0x7f).contains(&byte)));
        prop_assert!(shown.len() <= 4 * 200 + '…'.len_utf8());
    }
}
