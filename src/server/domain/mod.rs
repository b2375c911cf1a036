//! Domain: the types of the server and the rules that decide about them. Pure: the clock, the zone and the stored state
//! are arguments.

pub mod chain;
pub mod farm;
pub mod fire;
pub mod life;
pub mod model;
pub mod resource;
pub mod rules;
pub mod schedule;
pub mod script;
pub mod sentence;
mod timestamp;
pub mod title;
pub(in crate::server) mod title_search;
pub mod wait_reasons;
pub mod worker_state;
