//! One binary for the whole suite.

#[path = "../support/mod.rs"]
mod support;

mod fixture_server;
mod fixture_worker;
mod house;
mod run;
