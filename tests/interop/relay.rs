//! What stands between the worker and a server, as a balancer does: bytes pass, until they do not.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// The relay, with a switch for each connection that was made.
pub struct Relay {
    port: u16,
    silent: Arc<Mutex<Vec<Arc<AtomicBool>>>>,
}

impl Relay {
    /// Listens, and passes on what it gets to the loopback port.
    pub fn to(target: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = listener.local_addr().expect("a port").port();
        let silent: Arc<Mutex<Vec<Arc<AtomicBool>>>> = Arc::default();
        let switches = Arc::clone(&silent);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, target)) else { continue };
                let switch = Arc::new(AtomicBool::new(false));
                switches.lock().expect("a list").push(Arc::clone(&switch));
                for (from, to) in [(&client, &server), (&server, &client)] {
                    let (from, to) = (from.try_clone().expect("a handle"), to.try_clone().expect("a handle"));
                    let switch = Arc::clone(&switch);
                    thread::spawn(move || pass(from, to, &switch));
                }
            }
        });
        Self { port, silent }
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// How many connections there were.
    pub fn connections(&self) -> usize {
        self.silent.lock().expect("a list").len()
    }

    /// From now on nothing passes through the connections that exist. They stay open.
    pub fn silence(&self) {
        self.silent.lock().expect("a list").iter().for_each(|switch| switch.store(true, Ordering::SeqCst));
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, silent: &AtomicBool) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        if !silent.load(Ordering::SeqCst) && to.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    if !silent.load(Ordering::SeqCst) {
        let _ = to.shutdown(std::net::Shutdown::Write);
    }
}
