//! Tests of the request queue: requests, the instant and the end of all senders each end a wait.

use std::time::Duration;

use super::*;

fn queue(bound: usize) -> (mpsc::Sender<u32>, RequestQueue<u32>) {
    let (sender, requests) = mpsc::channel(bound);
    (sender, RequestQueue::new(requests))
}

/// An instant that no test reaches.
fn far() -> Option<Instant> {
    Some(Instant::now() + Duration::from_secs(3600))
}

#[test]
fn requests_are_taken_in_order_and_no_more_than_there_is_room() {
    let (sender, mut queue) = queue(3);
    (1..=3).for_each(|n| sender.try_send(n).expect("room"));
    let mut taken = vec![0];
    assert_eq!(queue.receive(&mut taken, 2, far()), Received::Requests);
    assert_eq!(taken, [0, 1, 2]);
    assert_eq!(queue.receive(&mut taken, 2, None), Received::Requests);
    assert_eq!(taken, [0, 1, 2, 3]);
}

#[test]
fn a_thread_that_waits_is_woken_by_a_request() {
    for due in [None, far()] {
        let (sender, requests) = mpsc::channel(1);
        let waiting = thread::spawn(move || {
            let (mut queue, mut taken) = (RequestQueue::new(requests), Vec::new());
            (0..100).for_each(|_| assert_eq!(queue.receive(&mut taken, 5, due), Received::Requests));
            taken
        });
        // Each request is sent once the last one has made room, so that the thread waits in between.
        (0..100).for_each(|n| sender.blocking_send(n).expect("a thread that waits"));
        assert_eq!(waiting.join().expect("all requests"), (0..100).collect::<Vec<_>>());
    }
}

#[test]
fn the_wait_ends_at_its_instant() {
    let (_sender, mut queue) = queue(1);
    let due = Instant::now() + Duration::from_millis(20);
    assert_eq!(queue.receive(&mut Vec::new(), 1, Some(due)), Received::Due);
    assert!(Instant::now() >= due);
}

#[test]
fn an_instant_that_has_come_is_not_put_off_by_requests() {
    let (sender, mut queue) = queue(1);
    sender.try_send(1).expect("room");
    let mut taken = Vec::new();
    assert_eq!(queue.receive(&mut taken, 1, Some(Instant::now())), Received::Due);
    assert!(taken.is_empty(), "{taken:?}");
}

#[test]
fn without_room_requests_stay_in_the_queue() {
    let (sender, mut queue) = queue(1);
    sender.try_send(1).expect("room");
    let mut taken = Vec::new();
    let due = Instant::now() + Duration::from_millis(20);
    assert_eq!(queue.receive(&mut taken, 0, Some(due)), Received::Due);
    assert!(taken.is_empty(), "{taken:?}");
    assert_eq!(queue.receive(&mut taken, 1, None), Received::Requests);
}

#[test]
fn the_end_of_all_senders_is_heard_after_their_last_requests() {
    let (sender, mut queue) = queue(2);
    sender.try_send(1).expect("room");
    drop(sender);
    let mut taken = Vec::new();
    assert_eq!(queue.receive(&mut taken, 5, None), Received::Requests);
    assert_eq!(queue.receive(&mut taken, 5, None), Received::Closed);
    let (sender, requests) = mpsc::channel::<u32>(1);
    let waiting = thread::spawn(move || RequestQueue::new(requests).receive(&mut Vec::new(), 5, None));
    drop(sender);
    assert_eq!(waiting.join().expect("an end"), Received::Closed);
}
