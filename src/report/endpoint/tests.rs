//! Tests of endpoints: which listener a socket reaches that is connected to a name.

use std::io::Read;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::{addresses, connect, connect_all};

type Connect = fn(&zmq::Socket, &str, u16) -> Result<(), zmq::Error>;

const BOTH: [(zmq::SocketType, Connect); 2] = [(zmq::PUB, connect), (zmq::SUB, connect_all)];

/// Returns whether a socket that is connected to this name reaches a listener at this address. The listener recognises
/// libzmq by the first byte of its greeting.
fn finds(kind: zmq::SocketType, connect: Connect, host: &str, at: impl Into<SocketAddr>) -> bool {
    let listener = TcpListener::bind(at.into()).expect("a port");
    let port = listener.local_addr().expect("a port").port();
    let (said, heard) = mpsc::sync_channel(1);
    thread::spawn(move || {
        let mut first = [0; 1];
        let (mut stream, _) = listener.accept().expect("a connection");
        stream.read_exact(&mut first).expect("a greeting");
        let _ = said.send(first[0]);
    });
    let socket = zmq::Context::new().socket(kind).expect("a socket");
    socket.set_linger(0).expect("no linger");
    connect(&socket, host, port).expect("a place to connect to");
    heard.recv_timeout(Duration::from_secs(20)) == Ok(0xff)
}

#[test]
fn a_name_and_an_address_lead_to_who_listens_on_ipv4() {
    for (kind, connect) in BOTH {
        for host in ["localhost", "127.0.0.1"] {
            assert!(finds(kind, connect, host, (Ipv4Addr::LOCALHOST, 0)), "{host}");
        }
    }
}

#[test]
fn an_address_of_ipv6_leads_there_in_brackets_or_without() {
    if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        return;
    }
    for (kind, connect) in BOTH {
        for host in ["[::1]", "::1"] {
            assert!(finds(kind, connect, host, (Ipv6Addr::LOCALHOST, 0)), "{host}");
        }
    }
}

#[test]
fn a_name_of_both_kinds_is_heard_on_whichever_answers() {
    let (v4, v6) = addresses("localhost", 1);
    if !v4.is_empty() && !v6.is_empty() {
        assert!(finds(zmq::SUB, connect_all, "localhost", (Ipv6Addr::LOCALHOST, 0)));
    }
}

#[test]
fn a_name_that_nobody_knows_yet_is_no_error() {
    let context = zmq::Context::new();
    for (kind, connect) in BOTH {
        let socket = context.socket(kind).expect("a socket");
        socket.set_linger(0).expect("no linger");
        assert_eq!(connect(&socket, "nobody.invalid", 5555), Ok(()));
    }
}
