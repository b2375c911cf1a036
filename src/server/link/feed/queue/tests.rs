use super::{MISSED, Queue, QueueItem, ROOM};

fn filled(upto: u64) -> Queue<u64> {
    let mut queue = Queue::default();
    (1..=upto).for_each(|number| {
        queue.put(number, number);
    });
    queue
}

#[test]
fn who_keeps_up_gets_everything_in_order() {
    let mut queue = filled(ROOM as u64);
    for number in 1..=ROOM as u64 {
        assert_eq!(queue.next(), QueueItem::Message(number));
    }
    assert_eq!(queue.next(), QueueItem::Nothing);
}

#[test]
fn who_is_slow_is_told_what_it_missed_and_goes_on_with_the_newest() {
    let mut queue = filled(ROOM as u64 + 3);
    assert_eq!(queue.next(), QueueItem::Missed(3));
    assert_eq!(queue.next(), QueueItem::Message(4));
    for number in 5..=ROOM as u64 + 3 {
        assert_eq!(queue.next(), QueueItem::Message(number));
    }
    assert_eq!(queue.next(), QueueItem::Nothing);
}

#[test]
fn who_takes_nothing_is_given_up_and_holds_no_memory() {
    let last = (ROOM + MISSED) as u64;
    let mut queue = filled(last);
    assert!(!queue.put(last + 1, last + 1));
    assert!(!queue.put(last + 2, last + 2));
    assert_eq!(queue.waiting.capacity(), 0);
    assert_eq!(queue.next(), QueueItem::TooSlow);
    assert_eq!(queue.next(), QueueItem::TooSlow);
}

#[test]
fn who_takes_the_note_has_as_much_patience_again() {
    let mut queue = filled((ROOM + MISSED) as u64);
    assert_eq!(queue.next(), QueueItem::Missed(MISSED as u64));
    for number in 0..MISSED as u64 {
        assert!(queue.put(5000 + number, 5000 + number));
    }
    assert!(matches!(queue.next(), QueueItem::Missed(_)));
}
