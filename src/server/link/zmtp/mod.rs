//! The two ZeroMQ ports, served without libzmq: each peer is read frame by frame in a task of its own, and the memory
//! that it can make the server hold is bounded. libzmq, which the worker uses, bounds neither the frames of a message
//! nor the subscriptions of a peer.

mod connection;
mod port;

pub(in crate::server) use connection::{ZmtpConnection, ZmtpEnd, ZmtpLimits};
pub(in crate::server) use port::Port;
