//! Job-Runner: runs scripts on a schedule, one after another, or on request, each on one machine of a pool and never
//! twice at once.
//!
//! # The map
//!
//! A **source** receives orders (execute this run, kill that one); the **intake** decides whether and when to follow an
//! order; the **execution** runs the process, which outlives the worker; the **report** writes every fact to disk and
//! delivers it. All four use the types of **run**; only **wire** knows their representation as bytes; **upstream** is the
//! client of the service that gives this worker its runs. The **server** stands apart: server and worker share **wire**
//! and the types of **run**, and nothing else, even where they run in one process.
//!
//! ```text
//!                  run   (types and rules; pure)
//!                   ▲
//!                  wire  (bytes <-> types: network and disk; pure)
//!                   ▲
//!                upstream (the client of the server: signed calls, time-outs, health)
//!                   ▲
//!    source ──▶ intake ───▶ execution ──▶ report           server
//!    broadcast  coordinator launch        outbox           domain ◀── store ◀── identity
//!    websocket  hints,slots pool, shim    courier            ▲          ▲          ▲
//!    leftover   run tasks   spool, tree   events             link ─ dispatch ─ http
//!         └──── worker.rs wires left to right ─────┘
//!                daemon/: settings, signals, drain, status, exit code
//!                command/: `job_runner`, the server's program and the operator's
//! ```
//!
//! The arrows show imports and data alike: a layer may use the `mod.rs` of a layer that its row names.
//! `tests/suite/layers.rs` reads the table below and fails on any other import. A layer may always use its own modules;
//! a file belongs to the longest row that is a prefix of its path.
//!
//! | layer | may import |
//! |---|---|
//! | `crash_point` | |
//! | `run` | |
//! | `wire` | `run` |
//! | `upstream` | `run`, `wire` |
//! | `report` | `run`, `wire`, `upstream` |
//! | `execution` | `run`, `wire`, `report` |
//! | `execution/shim` | `run`, `wire` |
//! | `execution/steps` | `run`, `wire`, `execution/shim` |
//! | `intake` | `run`, `upstream`, `execution`, `report` |
//! | `source` | `run`, `wire`, `upstream`, `intake`, `execution`, `report` |
//! | `server` | `run`, `wire` |
//! | `wire/reference` | |
//! | `wire/flamenco` | `run` |
//! | `server/domain` | `run`, `wire/reference`, `wire/flamenco` |
//! | `server/store` | `run`, `wire`, `server/domain` |
//! | `server/peers` | `run`, `wire`, `server/domain`, `server/store`, `server/state` |
//! | `server/data` | `server/identity` |
//! | `server/settings` | `run`, `server/domain`, `server/http/connections` |
//! | `server/state` | `server/settings`, `server/domain`, `server/store`, `server/identity`, `server/peers`, `server/link`, `server/dispatch`, `server/http/shared`, `server/farm` |
//! | `server/farm` | `run`, `wire`, `server/domain`, `server/store`, `server/state` |
//! | `server/identity` | `run`, `wire`, `server/domain`, `server/store`, `server/state`, `server/peers`, `server/http/connections` |
//! | `server/link` | `run`, `wire`, `server/domain`, `server/store`, `server/state`, `server/peers`, `server/http/connections`, `server/http/shared` |
//! | `server/dispatch` | `run`, `server/domain`, `server/store`, `server/state`, `server/peers` |
//! | `server/http/connections` | `run` |
//! | `server/http/shared` | `wire`, `server/settings`, `server/store`, `server/identity`, `server/link`, `server/state`, `server/http/connections` |
//! | `server/http/terminal` | `server/store` |
//! | `server/http/worker_file` | `wire` |
//! | `server/http/readiness` | `server/state` |
//! | `server/http/rest` | `run`, `wire`, `server/domain`, `server/store`, `server/identity`, `server/settings`, `server/state`, `server/http/connections`, `server/http/shared` |
//! | `server/http/operator` | `run`, `wire`, `server/domain`, `server/store`, `server/identity`, `server/state`, `server/http/connections`, `server/http/shared`, `server/http/terminal` |
//! | `server/http/dashboard` | `run`, `wire`, `server/domain`, `server/store`, `server/identity`, `server/state`, `server/peers`, `server/http/connections`, `server/http/shared`, `server/http/terminal`, `server/http/worker_file`, `server/http/operator` |
//! | `server/http/flamenco` | `run`, `wire`, `server/domain`, `server/store`, `server/identity`, `server/farm`, `server/state`, `server/http/connections`, `server/http/shared` |
//! | `server/http/uplink` | `run`, `wire`, `server/domain`, `server/store`, `server/identity`, `server/link`, `server/state`, `server/http/connections`, `server/http/rest` |
//! | `server/http` | |
//! | `worker` | `run`, `source`, `intake`, `execution`, `report`, `upstream` |
//! | `config` | `run`, `source`, `intake`, `execution`, `report`, `upstream`, `server` |
//! | `cli` | `config` |
//! | `daemon` | `run`, `intake`, `execution`, `report`, `worker`, `config`, `cli` |
//! | `command` | `run`, `wire`, `upstream`, `execution`, `server`, `worker`, `config`, `cli`, `daemon` |
//!
//! # What is deliberately absent
//!
//! No central table of runs behind a lock: a run is moved from layer to layer, and its slot travels with it. No trait
//! for sources: the set is closed, and a `match` is easier to read. No trust in a pid that came over the network. No
//! configuration in the shim: its order contains everything, so that a worker of the next version can take over a shim
//! of this one.

/// Marks a place at which a test may let the process die; expands to nothing without the feature `crash-points`.
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
pub mod run;
#[cfg(feature = "server")]
pub mod server;
pub mod source;
pub mod upstream;
pub mod wire;
pub mod worker;
