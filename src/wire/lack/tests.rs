use serde_json::json;

use super::*;

#[test]
fn what_a_worker_lacks_is_read_as_it_was_written() {
    let lacks = [
        Lack::Backlog(100),
        Lack::Outbox("no space".to_owned()),
        Lack::Launch("fork: out of memory".to_owned()),
        Lack::Bytes("state_path".into(), 7),
        Lack::Files("script_temp_path".into(), 8),
        Lack::Descriptors(9),
    ];
    let written = serde_json::to_value(list(&lacks)).unwrap();
    assert_eq!(written[3], json!({"what": "bytes", "at": "state_path", "left": 7}));
    assert_eq!(read(&written), lacks);
}

#[test]
fn what_a_later_worker_says_is_something_unknown_and_never_refused() {
    let said = json!([{"what": "patience", "left": 0}, {"what": "bytes", "left": "many"}, 7, null, {"what": "descriptors", "left": 3, "of": 9}]);
    assert_eq!(read(&said), [Lack::Unknown, Lack::Unknown, Lack::Unknown, Lack::Unknown, Lack::Descriptors(3)]);
    assert_eq!(read(&json!("everything")), []);
}

#[test]
fn a_list_and_its_texts_have_bounds() {
    let long = json!({"what": "launch", "why": "ä".repeat(10_000)});
    let read = read(&json!(vec![long; 1000]));
    assert_eq!(read.len(), MAX_LACKS);
    assert_eq!(read[0], Lack::Launch("ä".repeat(MAX_TEXT / 2)));
}
