//! A gateway in front of the REST API that loses answers: the connection is reset after the server
//! has done what it was asked, or before it has heard of it. Who asked cannot tell which.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use nix::sys::socket::{setsockopt, sockopt};

/// What it did to the PATCHes that return a run.
#[derive(Default)]
pub struct Counts {
    pub returns: AtomicUsize,
    pub reset_after: AtomicUsize,
    pub reset_before: AtomicUsize,
}

/// The gateway.
pub struct Gateway {
    port: u16,
    counts: Arc<Counts>,
}

impl Gateway {
    /// In front of the loopback port. Of ten returns the answers of three are lost, and one never arrives.
    pub fn to(target: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = listener.local_addr().expect("a port").port();
        let counts: Arc<Counts> = Arc::default();
        let counting = Arc::clone(&counts);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let counts = Arc::clone(&counting);
                thread::spawn(move || one_call(client, target, &counts));
            }
        });
        Self { port, counts }
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// How many returns came, were reset after, and before the server had them.
    pub fn counts(&self) -> (usize, usize, usize) {
        let Counts { returns, reset_after, reset_before } = &*self.counts;
        (returns.load(Ordering::SeqCst), reset_after.load(Ordering::SeqCst), reset_before.load(Ordering::SeqCst))
    }
}

/// The server closes after each answer, so a connection is one call.
fn one_call(mut client: TcpStream, target: u16, counts: &Counts) -> Option<()> {
    let request = request(&mut client)?;
    let text = String::from_utf8_lossy(&request);
    let is_return = text.starts_with("PATCH /api/v1/run/") && text.contains("\"return_dts\"");
    let place = is_return.then(|| counts.returns.fetch_add(1, Ordering::SeqCst) % 10);
    if place == Some(9) {
        counts.reset_before.fetch_add(1, Ordering::SeqCst);
        return reset(client);
    }
    let mut server = TcpStream::connect((Ipv4Addr::LOCALHOST, target)).ok()?;
    server.write_all(&request).ok()?;
    let mut answer = Vec::new();
    server.read_to_end(&mut answer).ok()?;
    if matches!(place, Some(1 | 4 | 7)) {
        assert!(answer.starts_with(b"HTTP/1.0 202"), "{}", String::from_utf8_lossy(&answer));
        counts.reset_after.fetch_add(1, Ordering::SeqCst);
        return reset(client);
    }
    client.write_all(&answer).ok()
}

/// A head and as much body as it announces.
fn request(client: &mut TcpStream) -> Option<Vec<u8>> {
    let mut request = Vec::new();
    let mut buffer = [0; 16 * 1024];
    loop {
        if let Some(end) = request.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&request[..end]).to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
            if request.len() >= end + 4 + length.unwrap_or(0) {
                return Some(request);
            }
        }
        let length = client.read(&mut buffer).ok().filter(|length| *length > 0)?;
        request.extend_from_slice(&buffer[..length]);
    }
}

/// Closes with RST instead of FIN.
fn reset(client: TcpStream) -> Option<()> {
    setsockopt(&client, sockopt::Linger, &libc::linger { l_onoff: 1, l_linger: 0 }).ok()
}
