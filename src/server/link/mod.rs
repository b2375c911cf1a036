//! Links: the ways by which workers and listeners are told at once. Orders go out over ZeroMQ and down an uplink, events of
//! workers come in over ZeroMQ, and what has changed goes to every subscriber of `/events` and of the original's WebSocket.

pub(in crate::server) mod broadcast;
pub mod events;
pub mod feed;
pub mod orders;
pub(in crate::server) mod zmtp;
