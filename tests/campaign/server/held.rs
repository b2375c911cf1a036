//! Connections that strangers hold open: they say nothing, or half of something, and take places and memory.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::stage::{LOOK, Place};

/// What they say, and nothing more.
const HALVES: [&[u8]; 6] = [
    b"",
    b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Le",
    b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\npassword=",
    b"PATCH /api/v1/run/1/ HTTP/1.1\r\nHost: localhost\r\nAuthorization: ApiKey worker0:00\r\nContent-Length: 9000000\r\n\r\n{",
    b"GET /worker?ts=1&nonce=0123456789abcdef HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n",
    b"GET /events HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\r\n",
];
/// The same for ZeroMQ: nothing, half a greeting.
const GREETINGS: [&[u8]; 2] = [b"", b"\xff\0\0\0\0\0\0\0\x01\x7f\x03"];

/// Connections that are held for a time while other things happen.
#[derive(Default)]
pub struct Held(Vec<(Instant, Vec<TcpStream>)>);

impl Held {
    /// Holds so many more, at all ports, for so long.
    pub fn hold(&mut self, place: Place, count: usize, time: Duration) {
        let connections = (0..count).filter_map(|nth| match nth % 8 {
            6 => half(place.broadcaster, GREETINGS[nth / 8 % 2]),
            7 => half(place.events, GREETINGS[nth / 8 % 2]),
            at => half(place.http, HALVES[at]),
        });
        self.0.push((Instant::now() + time, connections.collect()));
    }

    /// Lets go of those whose time is over.
    pub fn let_go(&mut self) {
        let now = Instant::now();
        self.0.retain(|(until, _)| *until > now);
    }
}

fn half(to: SocketAddr, what: &[u8]) -> Option<TcpStream> {
    let mut stream = TcpStream::connect_timeout(&to, LOOK).ok()?;
    stream.write_all(what).ok()?;
    Some(stream)
}
