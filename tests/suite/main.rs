//! One binary for the whole suite.

#[path = "../support/mod.rs"]
mod support;

mod broadcast;
mod command_line;
mod daemon;
mod drain;
mod fixture_server;
mod fixture_worker;
mod house;
mod kill;
mod log;
mod recovery;
mod rest;
mod run;
