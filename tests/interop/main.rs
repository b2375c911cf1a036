//! The worker against the original Job-Runner: its REST API, broadcaster and WebSocket server run
//! as they were released, on free loopback ports, and their database is the judge.
//! `mixed` and `crowd` are the other way round: the original worker, as it was released, for our server.
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

mod away;
mod blocked;
mod broadcaster;
#[cfg(feature = "server")]
mod crowd;
mod drain;
mod family;
mod feed;
mod gateway;
mod kinds;
mod live_log;
#[cfg(feature = "server")]
mod mixed;
mod orders;
mod original_database;
mod peer;
mod port;
mod process;
mod relay;
mod repertoire;
mod restart;
#[cfg(feature = "server")]
mod slow_line;
mod stage;
#[cfg(feature = "server")]
mod templates;
mod twice;
mod wait;
mod worker;

#[cfg(feature = "server")]
#[allow(dead_code)] // what the server's tests need beyond this
#[path = "../server/database.rs"]
mod database;
#[cfg(feature = "server")]
#[allow(dead_code)]
#[path = "../server/fixture.rs"]
mod fixture;
#[cfg(feature = "server")]
#[path = "../support/full_size.rs"]
mod full_size;
#[cfg(feature = "server")]
#[allow(dead_code)]
#[path = "../server/stage.rs"]
mod our_stage;
#[cfg(feature = "server")]
#[allow(dead_code)]
#[path = "../support/skip.rs"]
mod skip;
#[cfg(feature = "server")]
#[allow(dead_code)]
#[path = "../support/sqlite.rs"]
mod sqlite;
#[cfg(feature = "server")]
#[allow(dead_code)]
#[path = "../server/subscriber.rs"]
mod subscriber;
#[cfg(feature = "server")]
#[allow(dead_code)]
#[path = "../support/test_database.rs"]
mod test_database;
#[cfg(feature = "server")]
#[path = "../server/worker_process.rs"]
mod worker_process;
