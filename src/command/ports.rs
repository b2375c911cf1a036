//! Addresses that can be had.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};

/// Any port of this machine that is free.
pub const FREE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// The address that is wanted, or another port of it if that one is taken.
///
/// # Errors
/// That no port of it can be had.
pub fn wanted_or_free(wanted: SocketAddr) -> io::Result<SocketAddr> {
    match TcpListener::bind(wanted) {
        Err(e) if e.kind() == io::ErrorKind::AddrInUse => {
            TcpListener::bind(SocketAddr::new(wanted.ip(), 0))?.local_addr()
        }
        bound => bound?.local_addr(),
    }
}
