use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use super::{Arrival, ByteBudget, ConnectionPhase, Number, PeerLimits, PeerTable, Source};

const LIMITS: PeerLimits = PeerLimits {
    connections: 4,
    strangers_of_address: 2,
    bytes: 100,
    request_timeout: Duration::from_secs(20),
    idle_timeout: Duration::from_secs(120),
};

fn source(last: u8) -> Source {
    Source::of(IpAddr::V4(Ipv4Addr::new(10, 0, 0, last)))
}

struct Clock(Instant);

impl Clock {
    fn at(&self, millis: u64) -> Instant {
        self.0 + Duration::from_millis(millis)
    }
}

fn set() -> (PeerTable, Clock) {
    (PeerTable::new(LIMITS), Clock(Instant::now()))
}

fn admitted(arrival: Arrival) -> (Number, Option<Number>) {
    match arrival {
        Arrival::Admitted(number, leaves) => (number, leaves),
        Arrival::Refused => panic!("refused"),
    }
}

#[test]
fn the_longest_silent_stranger_of_a_full_address_leaves_once_it_has_had_its_time() {
    let (mut table, clock) = set();
    let (first, _) = admitted(table.arrive(source(1), clock.at(0)));
    let (second, _) = admitted(table.arrive(source(1), clock.at(1)));
    let (_, leaves) = admitted(table.arrive(source(1), clock.at(2)));
    assert_eq!(leaves, None, "a burst is no abuse");
    table.hold(first, 10, clock.at(1500));
    let (_, leaves) = admitted(table.arrive(source(1), clock.at(2000)));
    assert_eq!(leaves, Some(second), "the first has spoken since");
}

#[test]
fn a_known_peer_does_not_count_as_a_stranger_and_leaves_last() {
    let (mut table, clock) = set();
    for at in 0..4 {
        let (number, leaves) = admitted(table.arrive(source(1), clock.at(at)));
        table.know(number);
        assert_eq!(leaves, None);
    }
    assert_eq!(table.arrive(source(2), clock.at(10_000)), Arrival::Refused, "all of them are asking");
    table.turn(2, ConnectionPhase::Idle(clock.at(20)), clock.at(20));
    assert_eq!(admitted(table.arrive(source(2), clock.at(10_000))).1, Some(2), "who asks nothing can be spared");
}

#[test]
fn who_fills_all_places_makes_room_for_others() {
    let (mut table, clock) = set();
    let (other, _) = admitted(table.arrive(source(2), clock.at(0)));
    for at in 1..4 {
        admitted(table.arrive(source(1), clock.at(at)));
    }
    let (_, leaves) = admitted(table.arrive(source(3), clock.at(4)));
    assert_eq!(leaves, Some(other + 1), "the first of the address with most, though the other is older");
}

#[test]
fn who_holds_most_for_longest_leaves_and_who_is_quick_stays() {
    let (mut table, clock) = set();
    let (hoarder, _) = admitted(table.arrive(source(1), clock.at(0)));
    table.hold(hoarder, 60, clock.at(0));
    let (quick, _) = admitted(table.arrive(source(2), clock.at(10_000)));
    table.hold(quick, 40, clock.at(10_000));
    assert_eq!(table.room(quick, clock.at(10_001)), ByteBudget::After(hoarder));
    assert_eq!(table.room(quick, clock.at(10_001)), ByteBudget::Later, "what it holds is not free yet");
    table.gone(hoarder);
    assert_eq!(table.room(quick, clock.at(10_001)), ByteBudget::Free);
    assert_eq!(table.room(hoarder, clock.at(10_001)), ByteBudget::Leave, "it is gone");
}

#[test]
fn what_is_being_answered_is_waited_for() {
    let (mut table, clock) = set();
    let (busy, _) = admitted(table.arrive(source(1), clock.at(0)));
    table.hold(busy, 100, clock.at(0));
    table.turn(busy, ConnectionPhase::Body, clock.at(0));
    table.read_whole(busy);
    let (other, _) = admitted(table.arrive(source(2), clock.at(1)));
    assert_eq!(table.room(other, clock.at(2)), ByteBudget::Later);
    table.turn(busy, ConnectionPhase::Idle(clock.at(3)), clock.at(3));
    assert_eq!(table.room(other, clock.at(4)), ByteBudget::Free);
}

#[test]
fn a_complete_message_counts_until_it_is_answered() {
    let (mut table, clock) = set();
    let (worker, _) = admitted(table.arrive(source(1), clock.at(0)));
    table.turn(worker, ConnectionPhase::Talking, clock.at(0));
    table.hold(worker, 100, clock.at(0));
    let bytes = table.take(worker);
    assert_eq!((bytes, table.room(worker, clock.at(1))), (100, ByteBudget::Later));
    table.gone(worker);
    let (next, _) = admitted(table.arrive(source(1), clock.at(2)));
    assert_eq!(table.room(next, clock.at(2)), ByteBudget::Later, "also when who sent it is gone");
    table.give_back(bytes);
    assert_eq!(table.room(next, clock.at(2)), ByteBudget::Free);
}

#[test]
fn each_phase_has_its_time() {
    let (mut table, clock) = set();
    let (peer, _) = admitted(table.arrive(source(1), clock.at(0)));
    assert_eq!(table.deadline(peer), Some(clock.at(20_000)), "a head");
    table.hold(peer, 1, clock.at(19_000));
    assert_eq!(table.deadline(peer), Some(clock.at(20_000)), "a byte now and then wins nothing");
    table.turn(peer, ConnectionPhase::Answering, clock.at(19_500));
    assert_eq!(table.deadline(peer), None);
    table.stall(peer, Some(clock.at(20_000)));
    assert_eq!(table.deadline(peer), Some(clock.at(40_000)), "a stranger that does not read");
    table.know(peer);
    assert_eq!(table.deadline(peer), None, "somebody known may");
    table.turn(peer, ConnectionPhase::Idle(clock.at(50_000)), clock.at(50_000));
    assert_eq!(table.deadline(peer), Some(clock.at(170_000)));
    table.hold(peer, 1, clock.at(60_000));
    assert_eq!(table.deadline(peer), Some(clock.at(80_000)), "the next head has begun");
    table.turn(peer, ConnectionPhase::Listening, clock.at(61_000));
    assert_eq!(table.deadline(peer), None);
}

#[test]
fn one_network_is_one_address() {
    let of = |text: &str| Source::of(text.parse().unwrap());
    assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
    assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
    assert_eq!(of("::ffff:10.0.0.1"), of("10.0.0.1"));
    assert_ne!(of("10.0.0.2"), of("10.0.0.1"));
}
