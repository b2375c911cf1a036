//! Metered stream: counts the bytes of a connection as they are read, and notes while the peer does not take what is
//! sent.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::peer::HttpPeer;

/// TCP stream of one connection. It is read only while the table has room for more bytes.
#[derive(Debug)]
pub(super) struct MeteredStream {
    stream: TcpStream,
    peer: HttpPeer,
    stalls: bool,
}

impl MeteredStream {
    pub(super) fn new(stream: TcpStream, peer: HttpPeer) -> Self {
        Self { stream, peer, stalls: false }
    }

    fn note<T>(&mut self, written: Poll<T>) -> Poll<T> {
        // Only changes are passed on: each takes the lock that all connections share.
        if written.is_pending() != self.stalls {
            self.stalls = written.is_pending();
            self.peer.stall(self.stalls);
        }
        written
    }
}

impl AsyncRead for MeteredStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if let Err(e) = ready!(self.peer.poll_room(cx)) {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::ConnectionAborted, e)));
        }
        let before = buf.filled().len();
        let read = ready!(Pin::new(&mut self.stream).poll_read(cx, buf));
        let bytes = buf.filled().len() - before;
        if bytes > 0 {
            // Bytes count once they are read, so that each connection may exceed the budget by one buffer.
            self.peer.hold(bytes);
        }
        Poll::Ready(read)
    }
}

impl AsyncWrite for MeteredStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.note(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.note(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
