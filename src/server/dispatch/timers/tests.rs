use std::time::Duration;

use super::*;

#[test]
fn each_key_has_the_last_time_that_was_set() {
    let start = Instant::now();
    let after = |seconds| start + Duration::from_secs(seconds);
    let mut timers = Timers::new();
    timers.set('a', after(3));
    timers.set('b', after(2));
    timers.set('a', after(1));
    timers.set('c', after(5));
    timers.cancel('c');
    timers.cancel('d');
    assert_eq!(timers.next(), Some(after(1)));
    assert_eq!(timers.due(start), None);
    assert_eq!(timers.due(after(4)), Some('a'));
    assert_eq!(timers.due(after(4)), Some('a'), "it is due until it is done");
    timers.cancel('a');
    assert_eq!(timers.due(after(4)), Some('b'));
    timers.cancel('b');
    assert!(!timers.has('a'));
    assert_eq!(timers.next(), None);
}
