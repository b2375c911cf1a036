//! Ports of the loopback interface.

use std::net::TcpListener;

/// A port that nobody listened on a moment ago. For an address that shall refuse connections.
pub fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0))
        .and_then(|listener| listener.local_addr())
        .expect("a free port on the loopback interface")
        .port()
}
