//! Handles to the table of connections: one for the listener, one for each connection.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use axum::http::Extensions;
use tokio_util::sync::CancellationToken;

use super::table::{Arrival, ByteBudget, ConnectionPhase, Number, PeerLimits, PeerTable, Source};

/// All connections of one listening address. Clones share the table.
#[derive(Clone, Debug)]
pub struct Connections(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    table: PeerTable,
    /// Tokens by connection; a token is cancelled when its connection has to leave.
    leaves: HashMap<Number, CancellationToken>,
    /// Wakers of connections that wait for room to read more. All are woken on any change that may have made room.
    waiting: Vec<Waker>,
}

/// Refusal to read on: the peer holds more bytes of incomplete requests than others, and there is no room for all.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("there is no room for what it sends")]
pub struct NoRoomError;

impl Connections {
    /// Empty table with these limits.
    #[must_use]
    pub fn new(limits: PeerLimits) -> Self {
        let state = State { table: PeerTable::new(limits), leaves: HashMap::new(), waiting: Vec::new() };
        Self(Arc::new(Mutex::new(state)))
    }

    /// Enters a new connection into the table; `None` if there is no place for it. Another connection may be dismissed
    /// for it.
    pub(super) fn arrive(&self, from: IpAddr) -> Option<HttpPeer> {
        let mut state = self.state();
        let Arrival::Admitted(number, leaves) = state.table.arrive(Source::of(from), Instant::now()) else {
            return None;
        };
        if let Some(number) = leaves {
            state.dismiss(number);
        }
        let leave = CancellationToken::new();
        state.leaves.insert(number, leave.clone());
        drop(state);
        Some(HttpPeer(Arc::new(Place { number, from, connections: self.clone(), leave })))
    }

    /// Dismisses a connection that can be spared, because the system has no descriptor or no memory left.
    pub(super) fn spare_one(&self) {
        let mut state = self.state();
        if let Some(number) = state.table.dispensable() {
            state.dismiss(number);
        }
    }

    pub(super) fn limits(&self) -> PeerLimits {
        *self.state().table.limits()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each change of the table is complete in itself, so a panic elsewhere leaves it usable.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn dismiss(&mut self, number: Number) {
        self.table.leave(number);
        if let Some(leave) = self.leaves.remove(&number) {
            leave.cancel();
        }
    }

    fn wake(&mut self) {
        self.waiting.drain(..).for_each(Waker::wake);
    }
}

/// Handle of one connection; requests carry it as an extension. The place is free again once all clones are dropped.
#[derive(Clone, Debug)]
pub struct HttpPeer(Arc<Place>);

#[derive(Debug)]
struct Place {
    number: Number,
    from: IpAddr,
    connections: Connections,
    leave: CancellationToken,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.connections.state();
        state.leaves.remove(&self.number);
        state.table.gone(self.number);
        state.wake();
    }
}

/// Marks the connection of a request as known: its peer has authenticated.
pub fn mark_known(extensions: &Extensions) {
    if let Some(peer) = extensions.get::<HttpPeer>() {
        peer.change(|table, number, _| table.know(number));
    }
}

/// Client address of a request; `0.0.0.0` for requests whose connection is unknown.
#[must_use]
pub fn address_of(extensions: &Extensions) -> IpAddr {
    extensions.get::<HttpPeer>().map_or(Ipv4Addr::UNSPECIFIED.into(), HttpPeer::address)
}

impl HttpPeer {
    /// Returns the address that the connection comes from.
    #[must_use]
    pub fn address(&self) -> IpAddr {
        self.0.from
    }

    /// Token that is cancelled when the connection has to leave. After an upgrade nothing else watches it, so code that
    /// holds a WebSocket must.
    #[must_use]
    pub fn leave(&self) -> &CancellationToken {
        &self.0.leave
    }

    /// Ready once the connection may read more.
    ///
    /// # Errors
    /// If this connection holds most and has been dismissed.
    pub(super) fn poll_room(&self, context: &mut Context<'_>) -> Poll<Result<(), NoRoomError>> {
        let mut state = self.0.connections.state();
        loop {
            match state.table.room(self.0.number, Instant::now()) {
                ByteBudget::Free => return Poll::Ready(Ok(())),
                // The table is asked again: the bytes of the dismissed one count until it is gone, so the answer is
                // `Later`.
                ByteBudget::After(number) => state.dismiss(number),
                ByteBudget::Leave => return Poll::Ready(Err(NoRoomError)),
                ByteBudget::Later => {
                    // A connection that is polled several times must not grow the list.
                    if !state.waiting.iter().any(|waiting| waiting.will_wake(context.waker())) {
                        state.waiting.push(context.waker().clone());
                    }
                    return Poll::Pending;
                }
            }
        }
    }

    /// Counts bytes that were received.
    pub(super) fn hold(&self, bytes: usize) {
        self.change(|table, number, now| table.hold(number, bytes, now));
    }

    /// Notes that the head of a request has arrived.
    pub(super) fn begin_request(&self, with_body: bool) {
        self.turn(if with_body { ConnectionPhase::Body } else { ConnectionPhase::Answering });
    }

    /// Notes that the body has arrived completely.
    pub(super) fn read_whole(&self) {
        self.change(|table, number, _| table.read_whole(number));
    }

    /// Notes that the response was sent to its end, or abandoned.
    pub(super) fn rest(&self) {
        self.turn(ConnectionPhase::Idle(Instant::now()));
    }

    /// Notes that the connection is a WebSocket now.
    pub(super) fn upgrade(&self) {
        self.turn(ConnectionPhase::Listening);
    }

    /// Counts the bytes of this WebSocket from now on, until they form a complete message.
    pub fn count_messages(&self) {
        self.turn(ConnectionPhase::Talking);
    }

    /// Takes the bytes of a complete message out of the connection's account. They count until the receipt is dropped.
    #[must_use]
    pub fn take_message(&self) -> BodyReceipt {
        let bytes = self.0.connections.state().table.take(self.0.number);
        BodyReceipt { bytes, connections: self.0.connections.clone() }
    }

    /// Notes whether the peer takes what it is sent (`stalls`: it does not).
    pub(super) fn stall(&self, stalls: bool) {
        self.change(|table, number, now| table.stall(number, stalls.then_some(now)));
    }

    pub(super) fn is_quiet(&self) -> bool {
        self.0.connections.state().table.is_quiet(self.0.number)
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.0.connections.state().table.deadline(self.0.number)
    }

    fn turn(&self, phase: ConnectionPhase) {
        self.change(|table, number, now| table.turn(number, phase, now));
        // Any phase may have given bytes back, or may let this connection be dismissed for another one.
        self.0.connections.state().wake();
    }

    fn change(&self, change: impl FnOnce(&mut PeerTable, Number, Instant)) {
        change(&mut self.0.connections.state().table, self.0.number, Instant::now());
    }
}

/// Bytes of a message that is being answered; dropping it gives them back to the budget.
#[derive(Debug)]
pub struct BodyReceipt {
    bytes: usize,
    connections: Connections,
}

impl Drop for BodyReceipt {
    fn drop(&mut self) {
        let mut state = self.connections.state();
        state.table.give_back(self.bytes);
        state.wake();
    }
}
