//! The worker against the original Job-Runner: its REST API, broadcaster and WebSocket server run
//! as they were released, on free loopback ports, and their database is the judge.
//!
//! `peer/setup` installs the original into `target/interop-peer` (or `JOB_RUNNER_PEER_DIR`); the
//! first test calls it. It needs a Python 2.7. Without one every test prints `SKIPPED` and passes,
//! unless `JOB_RUNNER_REQUIRE_INTEROP=1` is set.
//!
//! `JOB_RUNNER_INTEROP_WORKER` names another worker by its command line, to which `--config-path`
//! and a path are appended. With `original` it is the original worker, which proves the stage and
//! shows what it cannot do. `JOB_RUNNER_INTEROP_SKIP` is a list, separated by commas, of kinds of
//! jobs to leave out; the original passes all others without `orphan`, `binary`, `character at the
//! cut` and `carriage return`.
//!
//! Besides Python 2.7 the scripts of the jobs need bash, python3 and setsid.
//!
//! What the original broadcaster does every 5 s it does here every 0.5 s; nothing else is changed.

#![allow(missing_docs)]

mod away;
mod blocked;
mod broadcaster;
mod database;
mod drain;
mod family;
mod feed;
mod gateway;
mod kinds;
mod live_log;
mod orders;
mod peer;
mod port;
mod process;
mod relay;
mod restart;
mod stage;
mod twice;
mod wait;
mod worker;
