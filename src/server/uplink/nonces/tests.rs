use super::*;

fn worker(id: i64) -> WorkerId {
    WorkerId::new(id).expect("an id")
}

#[test]
fn a_nonce_is_used_once_in_its_time() {
    let mut nonces = Nonces::default();
    assert!(nonces.note(worker(1), "a", 1000, 1000));
    assert!(!nonces.note(worker(1), "a", 1000, 1000));
    assert!(nonces.note(worker(2), "a", 1000, 1000), "another worker's is another");
    assert!(nonces.note(worker(1), "b", 1000 + MAX_SKEW, 1000));
    assert!(!nonces.note(worker(1), "b", 1000 + MAX_SKEW, 1000 + 2 * MAX_SKEW), "as late as it could be replayed");
    assert!(!nonces.note(worker(1), "c", 1000 - MAX_SKEW - 1, 1000));
    assert!(!nonces.note(worker(1), "c", 1000 + MAX_SKEW + 1, 1000));
    assert!(!nonces.note(worker(1), "c", i64::MIN, 1000));
}

#[test]
fn they_are_forgotten_when_their_time_alone_refuses_them() {
    let mut nonces = Nonces::default();
    for number in 0..OF_ONE {
        assert!(nonces.note(worker(1), &number.to_string(), 1000, 1000));
    }
    assert!(!nonces.note(worker(1), "one more", 1000, 1000));
    assert!(nonces.note(worker(2), "one more", 1000, 1000), "one worker keeps no other out");
    let later = 1001 + 2 * MAX_SKEW;
    assert!(nonces.note(worker(1), "later", later, later));
    assert_eq!((nonces.order.len(), nonces.used.len()), (1, 1));
}
