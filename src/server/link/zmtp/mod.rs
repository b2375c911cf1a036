//! The two ZeroMQ ports, bound and bounded by ourselves: a peer is read a frame at a time, in a task of its own, and what it may
//! make us hold is known. libzmq, which the worker uses, bounds neither the frames of a message nor the subscriptions of a peer.

mod connection;
mod port;

pub(in crate::server) use connection::{ZmtpConnection, ZmtpEnd, ZmtpLimits};
pub(in crate::server) use port::Port;
