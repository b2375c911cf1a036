use super::*;

fn address(number: u32) -> IpAddr {
    IpAddr::from((0x0a00_0000 + number).to_be_bytes())
}

#[test]
fn an_address_registers_ten_times_a_minute() {
    let (registrations, now) = (Registrations::default(), Instant::now());
    let admitted = |address, seconds| registrations.admit(address, now + Duration::from_secs(seconds));
    assert!((0..10).all(|_| admitted(address(1), 0)));
    assert!(!admitted(address(1), 59));
    assert!(admitted(address(2), 59), "another address");
    assert!(admitted(address(1), 60));
    assert!((0..100).all(|_| admitted(IpAddr::from([127, 0, 0, 1]), 0)), "the server's own machine");
}

#[test]
fn the_table_of_addresses_does_not_grow_for_ever() {
    let (registrations, now) = (Registrations::default(), Instant::now());
    let addresses = u32::try_from(ADDRESSES).unwrap();
    assert!((0..addresses).all(|number| registrations.admit(address(number), now)));
    assert!(!registrations.admit(address(addresses), now));
    assert!(registrations.admit(address(7), now), "one that is counted already");
    assert!(registrations.admit(address(addresses), now + WITHIN));
    assert_eq!(registrations.0.lock().unwrap().len(), 1);
}
