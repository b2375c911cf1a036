//! HTTP connections: accepts them, and bounds what a peer may take of the server's time, places and memory.
//!
//! `axum::serve` has neither time-outs nor bounds. Here every connection has an entry in a table, which decides, as a
//! pure value, which peer has to leave when places or memory run out: among those that have not authenticated, the one
//! that has been silent longest; among those that hold bytes of incomplete requests, the one that has held most for
//! longest. So a peer that hoards loses what it hoards, and a peer that is quick is served beside it.

mod accept;
mod body;
mod descriptors;
mod metered;
mod peer;
mod table;

pub use accept::{end_within, serve};
pub use body::{Unread, is_too_slow, read_body};
pub use descriptors::{raise_descriptor_limit, usable_at_zmq, usable_connections};
pub use peer::{BodyReceipt, Connections, HttpPeer, address_of, mark_known};
pub use table::{PeerLimits, Source};
