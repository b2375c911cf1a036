//! Ports of an embedded server: replaces one that is taken by any free port. Pure.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::server::{ServerError, Settings};

#[cfg(test)]
mod tests;

/// Any free port on the loopback address.
pub const FREE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Returns whether a server could not start because an address is taken, and then changes the settings to any free port
/// of that address.
pub fn replace_taken_port(settings: &mut Settings, error: &ServerError) -> bool {
    let taken = match error {
        ServerError::Listen(address, e) | ServerError::Zmq(address, e) if e.kind() == io::ErrorKind::AddrInUse => {
            *address
        }
        _ => return false,
    };
    let mut addresses = [&mut settings.http, &mut settings.broadcaster, &mut settings.events].into_iter();
    // A port that the system chooses is free, so port 0 never needs to give way.
    match addresses.find(|address| **address == taken && address.port() != 0) {
        Some(address) => {
            address.set_port(0);
            true
        }
        None => false,
    }
}

/// Returns the ports that were wanted with those that are used instead.
pub fn replaced_ports(wanted: &Settings, got: &Settings) -> Vec<(u16, u16)> {
    let pairs = [(wanted.http, got.http), (wanted.broadcaster, got.broadcaster), (wanted.events, got.events)];
    let ports = pairs.map(|(wanted, got)| (wanted.port(), got.port()));
    ports.into_iter().filter(|(wanted, got)| *wanted != 0 && wanted != got).collect()
}
