//! Job-Runner: scripts that run on a schedule, after one another, on some machine of a pool,
//! now, and never twice.
//!
//! # The map
//!
//! A **source** offers orders (run this, kill that); the **intake** decides whether and when; the
//! **execution** runs the process and survives us; the **report** writes every fact to disk and
//! carries it out. All four speak the words of **run**; only **wire** knows how the words look as
//! bytes; **rest** is the signed HTTP client that intake and report share. The **server** stands apart: it and
//! the worker know each other only through **wire**, also when they share a process.
//!
//! ```text
//!                  run   (words and rules; pure)
//!                   ▲
//!                  wire  (bytes <-> words: network and disk; pure)
//!                   ▲
//!                  rest  (the signed HTTP client: back-off, time-outs, auth health)
//!                   ▲
//!    source ──▶ intake ──▶ execution ──▶ report           server
//!    broadcast  door       launch        outbox           api · operator · page · feed
//!    websocket  hints      pool, shim    courier          schedule · dispatch
//!    leftover   seats      spool, tree   events           life · chain · duty · store
//!         └──── worker.rs wires left to right ────┘
//!                daemon/: settings, signals, drain, status, exit code
//!                command/: `job_runner`, the server's program and the operator's
//! ```
//!
//! Arrows are imports and data alike: a room may hold the *door* (its `mod.rs`) of any room to its
//! right; nothing imports leftward. `tests/suite/house.rs` reads the table below and fails on a backward
//! import.
//!
//! | room | may import |
//! |---|---|
//! | `crash_point` | |
//! | `run` | |
//! | `wire` | `run` |
//! | `rest` | `run`, `wire` |
//! | `report` | `run`, `wire`, `rest` |
//! | `execution` | `run`, `wire`, `report` |
//! | `execution/shim` | `run`, `wire` |
//! | `intake` | `run`, `rest`, `execution`, `report` |
//! | `source` | `run`, `wire`, `rest`, `intake`, `execution`, `report` |
//! | `server` | `run`, `wire` |
//! | `worker` | `run`, `source`, `intake`, `execution`, `report`, `rest` |
//! | `config` | `run`, `source`, `intake`, `execution`, `report`, `rest`, `daemon`, `server` |
//! | `command` | everything |
//! | `daemon` | everything |
//! | `cli` | everything |
//!
//! # What is deliberately absent
//!
//! No central table of runs that everybody locks: a run is moved from room to room and its seat
//! travels with it. No trait for sources: the set is closed, and a `match` is easier to read. No
//! trust in any pid that came over the network. No configuration in the shim: it is told
//! everything in its order, so that a shim of one version can be found again by the next.

#![warn(missing_docs)]

/// A place at which a test may let the process die; nothing without the feature `crash-points`.
macro_rules! crash_point {
    ($point:ident) => {
        #[cfg(feature = "crash-points")]
        $crate::crash_point::pass($crate::crash_point::Point::$point);
    };
}

pub mod cli;
#[cfg(feature = "server")]
pub mod command;
pub mod config;
#[cfg(feature = "crash-points")]
pub mod crash_point;
pub mod daemon;
pub mod execution;
pub mod intake;
pub mod report;
pub mod rest;
pub mod run;
#[cfg(feature = "server")]
pub mod server;
pub mod source;
pub mod wire;
pub mod worker;
