//! A Job-Runner server for tests, and the worker as a child process.
//!
//! [`Server`] speaks the wire of the original server on free loopback ports: the signed REST API,
//! the broadcaster, the event intake and a WebSocket server that pushes orders. It remembers, in
//! order, everything that it was told and everything that it said, wakes whoever waits for a change,
//! and misbehaves on request. The ZeroMQ side is the pure Rust implementation on purpose: the worker
//! uses libzmq, so that two independent implementations talk to each other.
//!
//! [`WorkerProcess`] is the worker's binary with an ini file of its own in a temporary folder; when
//! it is dropped, everything that it started is gone.
//!
//! Nothing here uses the code under test: what the server believes about the wire it says itself.

#![allow(dead_code, unused_imports)]

mod broadcaster;
mod connection;
mod event_sink;
mod fault;
mod ledger;
mod life;
mod link;
pub mod own_postgres;
mod ports;
mod process_sweep;
mod record;
mod resources;
mod rest;
mod rows;
mod scripts;
mod server;
mod signature;
mod skip;
mod sqlite;
mod tmpfs;
mod websocket;
mod worker_process;

pub use fault::{Fault, FaultHandle, What};
pub use ledger::State;
pub use link::{Link, LinkCounters};
pub use ports::free_port;
pub use process_sweep::{end_everything_marked, marked_processes};
pub use record::{Announcement, Call, Event, Subscription, WebSocketClient};
pub use rows::{KillRow, LogVersion, RunRow, RunSpec, Step, StepKind, WorkerRow};
pub use scripts::{Latch, exits_with, prints};
pub use server::{Options, Server, WorkerSpec};
pub use signature::sign;
pub use skip::{has_python, skip};
pub use sqlite::{connect, connect_read_only};
pub use tmpfs::Tmpfs;
pub use worker_process::{WorkerHome, WorkerOptions, WorkerProcess};
