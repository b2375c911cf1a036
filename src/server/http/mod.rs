//! HTTP: everything that is served on the HTTP port. `connections` accepts connections and bounds them; `rest` is the
//! original's REST API and `operator` the API of the CLI; `dashboard` renders HTML pages; `uplink` carries requests to
//! `rest` for workers that connect out; `flamenco` is the Manager of Flamenco workers, at an address of its own.

pub mod connections;
pub mod dashboard;
pub(in crate::server) mod flamenco;
pub mod operator;
pub(in crate::server) mod readiness;
pub mod rest;
pub(in crate::server) mod shared;
pub mod terminal;
pub mod uplink;
pub mod worker_file;
