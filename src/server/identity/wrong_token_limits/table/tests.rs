use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

use super::{FREE, GuessTable, SOURCES, WAITING};
use crate::server::http::connections::Source;

fn source(number: u16) -> Source {
    Source::of(IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, number, 0, 0, 0, 1)))
}

#[test]
fn each_wrong_token_beyond_the_first_ten_waits_longer_up_to_a_bound() {
    let (mut table, now) = (GuessTable::default(), Instant::now());
    let waits: Vec<u128> = (0..25).map(|_| table.wrong(source(1), now).as_millis()).collect();
    assert_eq!(waits[..FREE as usize], [0; FREE as usize]);
    assert_eq!(waits[FREE as usize..][..7], [100, 200, 400, 800, 1600, 3200, 3200]);
    assert_eq!(waits[24], 3200);
    assert_eq!(table.wrong(source(2), now), Duration::ZERO, "nobody else waits");
}

#[test]
fn who_has_many_waiting_is_not_looked_at_until_one_is_answered() {
    let (mut table, now) = (GuessTable::default(), Instant::now());
    for _ in 0..FREE as usize + WAITING {
        table.wrong(source(1), now);
    }
    assert!(table.is_full(source(1), now));
    assert!(!table.is_full(source(2), now));
    assert!(!table.is_full(source(1), now + Duration::from_millis(100)), "the first was answered");
}

#[test]
fn a_wrong_token_now_and_then_is_never_kept_waiting() {
    let (mut table, now) = (GuessTable::default(), Instant::now());
    for minute in 0..100 {
        assert_eq!(table.wrong(source(1), now + Duration::from_secs(60 * minute)), Duration::ZERO);
    }
    for _ in 0..100 {
        table.wrong(source(2), now);
    }
    let later = now + Duration::from_secs(200);
    assert_eq!(table.wrong(source(2), later), Duration::ZERO, "after minutes everything is forgotten");
}

#[test]
fn as_many_addresses_are_known_as_are_allowed_and_the_quietest_is_forgotten() {
    let (mut table, now) = (GuessTable::default(), Instant::now());
    for number in 0..u16::try_from(SOURCES).unwrap() + 100 {
        table.wrong(source(number), now + Duration::from_micros(u64::from(number)));
    }
    assert_eq!(table.0.len(), SOURCES);
    assert!(!table.0.contains_key(&source(99)) && table.0.contains_key(&source(100)));
}
