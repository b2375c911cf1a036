//! Secrets in execution orders: any bytes survive encoding, and as many as are allowed fit a packet.

use super::*;

fn order(redact: Vec<Secret>) -> ToShim {
    ToShim::Execute(Box::new(ExecutionOrder {
        run: 1,
        attempt: 1,
        token: "token".to_owned(),
        command: vec!["/bin/sh".to_owned(), "/tmp/script".to_owned()],
        script: "/tmp/script".into(),
        record: "/state/1.1.record".into(),
        spare: None,
        script_spare: None,
        output: "/state/1.1.output".into(),
        head: 20,
        tail: 80,
        linger_ms: 10_000,
        stop_leftovers: false,
        grace_ms: 0,
        timeout_ms: None,
        durable: false,
        environment: Vec::new(),
        redact,
    }))
}

fn secrets(order: &ToShim) -> Vec<Vec<u8>> {
    let ToShim::Execute(order) = order else { panic!("no order: {order:?}") };
    order.redact.iter().map(|secret| secret.expose().to_vec()).collect()
}

#[test]
fn secrets_of_any_bytes_arrive_as_they_are() {
    let all = vec![(0..=255).collect::<Vec<u8>>(), b"verysecret".to_vec(), "\u{e9}\u{1f600}".as_bytes().to_vec()];
    let packet = serde_json::to_vec(&order(all.iter().cloned().map(Secret::new).collect())).expect("JSON");
    let heard: ToShim = serde_json::from_slice(&packet).expect("an order");
    assert_eq!(secrets(&heard), all);
    assert!(!format!("{heard:?}").contains("verysecret"));
}

#[test]
fn an_order_of_an_older_worker_has_none() {
    let packet = serde_json::to_string(&order(Vec::new())).expect("JSON");
    assert!(!packet.contains("redact"), "{packet}");
    assert!(secrets(&serde_json::from_str(&packet).expect("an order")).is_empty());
}

#[test]
fn as_many_secrets_as_a_configuration_may_have_fit_a_packet() {
    // Control characters take the most room in JSON.
    let secrets = (0..4).map(|n| Secret::new(vec![n; 4096])).collect();
    assert!(serde_json::to_vec(&order(secrets)).expect("JSON").len() < MAX_PACKET - 16 * 1024);
}
