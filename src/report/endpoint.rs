//! Endpoints: connects a ZeroMQ socket to a host name over IPv4, IPv6 or both.
//!
//! libzmq uses only the first address of a name, and addresses of only one family. A name like `localhost` has
//! addresses of both families, and the other side may listen on either.

use std::net::{SocketAddr, ToSocketAddrs};

#[cfg(test)]
mod tests;

/// Connects to a host over IPv4 or, where the host has no IPv4 address, over IPv6. libzmq resolves an IPv4 name again
/// with every connection that it makes.
///
/// # Errors
/// If libzmq refuses the address. A host that cannot be resolved or reached is no error: libzmq tries again.
pub fn connect(socket: &zmq::Socket, host: &str, port: u16) -> Result<(), zmq::Error> {
    let (v4, v6) = addresses(host, port);
    match v6.first() {
        Some(address) if v4.is_empty() => connect_v6(socket, address),
        _ => connect_v4(socket, host, port),
    }
}

/// Connects to every IPv6 address of a host, and over IPv4. For sockets on which duplicate messages do no harm.
///
/// # Errors
/// If libzmq refuses an address; see [`connect`].
pub fn connect_all(socket: &zmq::Socket, host: &str, port: u16) -> Result<(), zmq::Error> {
    let (v4, v6) = addresses(host, port);
    for address in &v6 {
        connect_v6(socket, address)?;
    }
    if !v4.is_empty() || v6.is_empty() {
        connect_v4(socket, host, port)?;
    }
    Ok(())
}

fn addresses(host: &str, port: u16) -> (Vec<SocketAddr>, Vec<SocketAddr>) {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    // A host that cannot be resolved has no addresses here; libzmq then resolves it as an IPv4 name until it succeeds.
    (bare, port).to_socket_addrs().map_or_else(|_| Default::default(), |all| all.partition(SocketAddr::is_ipv4))
}

fn connect_v4(socket: &zmq::Socket, host: &str, port: u16) -> Result<(), zmq::Error> {
    socket.set_ipv6(false)?;
    socket.connect(&format!("tcp://{host}:{port}"))
}

fn connect_v6(socket: &zmq::Socket, address: &SocketAddr) -> Result<(), zmq::Error> {
    socket.set_ipv6(true)?;
    socket.connect(&format!("tcp://{address}"))
}
