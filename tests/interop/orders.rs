//! A WebSocket server that gives orders, for a worker without any ZeroMQ route.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, Weak};
use std::thread;

use serde_json::Value;
use tokio_tungstenite::tungstenite::{self, Message, WebSocket};

use crate::wait::pause;

/// The server, with the connection that was made last.
pub struct Orders {
    port: u16,
    connection: Arc<Mutex<Option<WebSocket<TcpStream>>>>,
}

impl Orders {
    /// Listens.
    pub fn listen() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = listener.local_addr().expect("a port").port();
        let connection = Arc::new(Mutex::new(None));
        let latest = Arc::downgrade(&connection);
        let pinged = Weak::clone(&latest);
        thread::spawn(move || answer_pings(&pinged));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let Ok(socket) = tungstenite::accept(stream) else {
                    continue;
                };
                socket.get_ref().set_nonblocking(true).expect("a socket");
                let Some(place) = latest.upgrade() else {
                    return;
                };
                *place.lock().expect("a place") = Some(socket);
            }
        });
        Self { port, connection }
    }

    /// Where a worker finds it.
    pub fn url(&self) -> String {
        format!("ws://127.0.0.1:{}/", self.port)
    }

    /// Whether a worker is connected.
    pub fn is_connected(&self) -> bool {
        self.connection.lock().expect("a place").is_some()
    }

    /// Sends an order.
    pub fn send(&self, order: &Value) {
        self.send_text(&order.to_string());
    }

    /// Sends any text.
    pub fn send_text(&self, text: &str) {
        let mut connection = self.connection.lock().expect("a place");
        let socket = connection.as_mut().expect("a worker is connected");
        socket.send(Message::text(text)).expect("the worker listens");
    }
}

/// Answers the pings of the worker, for as long as there is somebody to give orders.
fn answer_pings(connection: &Weak<Mutex<Option<WebSocket<TcpStream>>>>) {
    while let Some(connection) = connection.upgrade() {
        if let Some(socket) = connection.lock().expect("a place").as_mut() {
            while socket.read().is_ok() {}
            let _ = socket.flush();
        }
        drop(connection);
        pause();
    }
}
