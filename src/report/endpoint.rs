//! Where a ZeroMQ socket connects to, from a host name.
//!
//! libzmq takes the first address of a name, and only of one family. A name like `localhost` has
//! addresses of both, and the other side may listen on either.

use std::net::{SocketAddr, ToSocketAddrs};

#[cfg(test)]
mod tests;

/// Connects to a host over its IPv4 addresses or, where it has none, over IPv6. The name is resolved again with
/// every connection that libzmq makes.
///
/// # Errors
/// What libzmq says; a host that cannot be resolved or reached is none, it is tried again.
pub fn connect(socket: &zmq::Socket, host: &str, port: u16) -> Result<(), zmq::Error> {
    let (v4, v6) = addresses(host, port);
    match v6.first() {
        Some(address) if v4.is_empty() => connect_v6(socket, address),
        _ => connect_v4(socket, host, port),
    }
}

/// Connects to every address of a host. For sockets to which hearing things twice does not matter.
///
/// # Errors
/// As [`connect`].
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
