//! COPY: rows that go into a table, or come out of a query, as one stream of bytes, of which only a piece is in memory.

use std::pin::Pin;

use bytes::{Buf, Bytes};
use futures_util::{SinkExt, TryStreamExt};
use tokio_postgres::{CopyInSink, CopyOutStream};

use super::DatabaseSession;
use crate::server::store::db::DbError;

/// Rows on their way into a table. Dropped before [`CopyIn::finish`], none of them gets there.
pub struct CopyIn<'s> {
    session: &'s DatabaseSession,
    sink: Pin<Box<CopyInSink<Bytes>>>,
}

/// Rows on their way out of a query.
pub struct CopyOut<'s> {
    session: &'s DatabaseSession,
    stream: Pin<Box<CopyOutStream>>,
    piece: Bytes,
}

impl DatabaseSession {
    /// Begins a `COPY … FROM STDIN`.
    ///
    /// # Errors
    /// If the statement fails.
    pub fn copy_in(&self, sql: &str) -> Result<CopyIn<'_>, DbError> {
        let sink = self.noticing_failure(|| self.wait(self.client.copy_in(sql), None))?;
        Ok(CopyIn { session: self, sink: Box::pin(sink) })
    }

    /// Begins a `COPY … TO STDOUT`.
    ///
    /// # Errors
    /// If the statement fails.
    pub fn copy_out(&self, sql: &str) -> Result<CopyOut<'_>, DbError> {
        let stream = self.noticing_failure(|| self.wait(self.client.copy_out(sql), None))?;
        Ok(CopyOut { session: self, stream: Box::pin(stream), piece: Bytes::new() })
    }
}

impl CopyIn<'_> {
    /// Sends a piece of the stream. Waits while the piece before it is on its way.
    ///
    /// # Errors
    /// If PostgreSQL refuses what it got so far, or is out of reach.
    pub fn send(&mut self, piece: Vec<u8>) -> Result<(), DbError> {
        let Self { session, sink } = self;
        session.noticing_failure(|| session.wait(sink.send(piece.into()), None))
    }

    /// Ends the stream; returns the number of rows.
    ///
    /// # Errors
    /// If PostgreSQL refuses a row, or is out of reach.
    pub fn finish(mut self) -> Result<u64, DbError> {
        self.session.noticing_failure(|| self.session.wait(self.sink.as_mut().finish(), None))
    }
}

impl CopyOut<'_> {
    /// Returns the bytes that are there, after a wait for the first of them; empty at the end of the stream.
    ///
    /// # Errors
    /// If PostgreSQL fails, or is out of reach.
    pub fn buffered(&mut self) -> Result<&[u8], DbError> {
        let Self { session, stream, piece } = self;
        while piece.is_empty() {
            let next = session.noticing_failure(|| session.wait(stream.try_next(), None))?;
            let Some(next) = next else { break };
            *piece = next;
        }
        Ok(piece)
    }

    /// Drops bytes that were buffered.
    pub fn consume(&mut self, bytes: usize) {
        self.piece.advance(bytes);
    }
}
