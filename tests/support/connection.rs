//! TCP connections of the REST API that can be reset from within.

use std::collections::BTreeMap;
use std::io::{self, Error, ErrorKind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

use super::ledger::Ledger;

/// Number of a connection and the lever to end it.
#[derive(Clone, Debug)]
pub struct Connection {
    pub id: u64,
    ending: Arc<Ending>,
}

#[derive(Debug, Default)]
struct Ending {
    due: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl Connection {
    /// Ends the connection with a TCP reset; what is unsent stays unsent.
    pub fn reset(&self) {
        self.ending.due.store(true, Ordering::SeqCst);
        if let Some(waker) = self.ending.waker.lock().unwrap().take() {
            waker.wake();
        }
    }
}

/// The open connections of one API.
#[derive(Default)]
pub struct Connections(Mutex<BTreeMap<u64, Connection>>);

impl Connections {
    pub fn reset_all(&self) {
        for connection in self.0.lock().unwrap().values() {
            connection.reset();
        }
    }
}

/// A listener that numbers its connections.
pub struct Gate {
    pub listener: TcpListener,
    pub connections: Arc<Connections>,
    pub ledger: Arc<Ledger>,
}

impl Listener for Gate {
    type Io = Wire;
    type Addr = Connection;

    async fn accept(&mut self) -> (Wire, Connection) {
        let stream = loop {
            match self.listener.accept().await {
                Ok((stream, _)) => break stream,
                // The client was faster in leaving than we in accepting.
                Err(_) => tokio::task::yield_now().await,
            }
        };
        let _ = stream.set_nodelay(true);
        let id = self.ledger.change(|state| {
            state.rest_connections += 1;
            state.rest_open += 1;
            state.rest_connections
        });
        let connection = Connection { id, ending: Arc::default() };
        self.connections.0.lock().unwrap().insert(id, connection.clone());
        let wire = Wire {
            stream,
            connection: connection.clone(),
            connections: self.connections.clone(),
            ledger: self.ledger.clone(),
        };
        (wire, connection)
    }

    fn local_addr(&self) -> io::Result<Connection> {
        Err(Error::from(ErrorKind::Unsupported))
    }
}

impl Connected<IncomingStream<'_, Gate>> for Connection {
    fn connect_info(stream: IncomingStream<'_, Gate>) -> Self {
        stream.remote_addr().clone()
    }
}

/// The bytes of one connection.
pub struct Wire {
    stream: TcpStream,
    connection: Connection,
    connections: Arc<Connections>,
    ledger: Arc<Ledger>,
}

impl Wire {
    /// Fails once the connection shall end; else remembers whom to wake when it shall.
    fn check(&self, context: &Context<'_>) -> io::Result<()> {
        let ending = &self.connection.ending;
        *ending.waker.lock().unwrap() = Some(context.waker().clone());
        if ending.due.load(Ordering::SeqCst) {
            let _ = self.stream.set_zero_linger();
            return Err(Error::from(ErrorKind::ConnectionReset));
        }
        Ok(())
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.connections.0.lock().unwrap().remove(&self.connection.id);
        self.ledger.change(|state| state.rest_open -= 1);
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
