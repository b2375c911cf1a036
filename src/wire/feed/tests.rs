use super::{EventKind, FeedMessage};

#[test]
fn a_message_looks_like_the_originals_with_a_number() {
    let told = FeedMessage { run_id: Some(12), length: Some(70), ..FeedMessage::new(7, EventKind::Run, "log") };
    assert_eq!(told.text(), r#"{"seq":7,"event":"log","kind":"run","run_id":12,"length":70}"#);
    assert_eq!(FeedMessage::resync(8).text(), r#"{"seq":8,"event":"resync","kind":"feed"}"#);
    assert_eq!(serde_json::from_str::<FeedMessage>(&told.text()).expect("our own message"), told);
}

#[test]
fn a_later_server_may_say_more() {
    let told: FeedMessage =
        serde_json::from_str(r#"{"seq":1,"event":"new","kind":"run","run_id":1,"x":[]}"#).expect("readable");
    assert_eq!((told.event.as_ref(), told.run_id), ("new", Some(1)));
}
