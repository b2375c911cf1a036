use super::*;
use crate::run::RunId;

fn event(id: i64) -> Event {
    Event::RunStarted(RunId::new(id).unwrap())
}

#[test]
fn an_event_is_new_once_as_far_as_memory_goes() {
    let mut memory = Memory::default();
    assert!(memory.is_new(event(1)));
    assert!(!memory.is_new(event(1)));
    let more = i64::try_from(REMEMBERED).unwrap();
    for id in 2..=more + 1 {
        assert!(memory.is_new(event(id)));
    }
    assert_eq!((memory.known.len(), memory.order.len()), (REMEMBERED, REMEMBERED));
    assert!(memory.is_new(event(1)), "forgotten by now");
}
