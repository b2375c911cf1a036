//! Links: carry orders and changes at once, beside the REST API. Orders go out to workers over ZeroMQ and uplinks,
//! events of workers come in over ZeroMQ, and changes go to every listener at `/events` and at the original's
//! WebSocket.

pub(in crate::server) mod broadcast;
pub mod events;
pub mod feed;
pub mod orders;
pub mod worker_events;
pub(in crate::server) mod zmtp;
