use super::*;

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn one_site_has_one_share_of_the_connections_whatever_its_addresses() {
    let peers = Peers::default();
    let of_a_site = |n: usize| address(&format!("2001:db8:0:1::{n:x}"));
    let mut places: Vec<_> = (0..OF_ONE).map(|n| peers.enter(of_a_site(n)).expect("a place")).collect();
    assert!(peers.enter(of_a_site(OF_ONE)).is_none(), "another address of the same /64 network");
    assert!(peers.enter(address("2001:db8:0:2::1")).is_some(), "another network");
    assert!(peers.enter(address("192.0.2.1")).is_some(), "an IPv4 address");
    places.pop();
    assert!(peers.enter(of_a_site(OF_ONE)).is_some(), "a place was given back");
}
