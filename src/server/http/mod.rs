//! HTTP: the doors of the server. `connections` accepts and bounds; `rest` speaks the original's API, `operator` ours,
//! `dashboard` renders HTML, and `uplink` carries calls of `rest` for workers that connect out.

pub mod connections;
pub mod dashboard;
pub mod operator;
pub(in crate::server) mod readiness;
pub mod rest;
pub(in crate::server) mod shared;
pub mod terminal;
pub mod uplink;
pub mod worker_file;
